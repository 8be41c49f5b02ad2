#!/bin/sh
# Makes the passwords and the key that docker-compose.yml needs, in .env beside it. Run it before the first start; it keeps what .env
# has. "env.sh FILE" writes another file.
set -eu
umask 077
file=${1:-$(dirname "$0")/../.env}
touch "$file"
chmod 600 "$file"
if [ -s "$file" ] && [ -n "$(tail -c 1 "$file")" ]; then
	echo >>"$file" # the last line has no end
fi
# ATTUNE_BRIDGE_SIGNING_KEY has the form of a key of "attune keys new bridge": 32 random bytes in hexadecimal.
for name in RABBITMQ_PASSWORD RABBITMQ_BRIDGE_PASSWORD RABBITMQ_WORKER_PASSWORD ATTUNE_BRIDGE_SIGNING_KEY; do
	grep -q "^$name=." "$file" || echo "$name=$(od -An -vtx1 -N32 /dev/urandom | tr -d ' \n')" >>"$file"
done
