#!/bin/sh
# Starts RabbitMQ with attune's users and their rights: an administrator, the user of attune, and the user of its worker. RabbitMQ
# imports the users at every start, so a changed password counts after a restart. "start.sh definitions" only prints the users.
#
# The rights are those of docs/operations.md.
set -eu

for password in "$ADMIN_PASSWORD" "$BRIDGE_PASSWORD" "$WORKER_PASSWORD"; do
	case $password in
	'' | *[!A-Za-z0-9._~-]*)
		echo "the passwords of RabbitMQ may contain letters, digits, '-', '_', '.' and '~' only" >&2
		exit 1
		;;
	esac
done

definitions() {
	cat <<JSON
{
  "vhosts": [{"name": "/"}],
  "users": [
    {"name": "attune", "password": "$ADMIN_PASSWORD", "tags": "administrator"},
    {"name": "attune-bridge", "password": "$BRIDGE_PASSWORD", "tags": ""},
    {"name": "attune-worker", "password": "$WORKER_PASSWORD", "tags": ""}
  ],
  "permissions": [
    {"user": "attune", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"},
    {"user": "attune-bridge", "vhost": "/", "configure": "^attune(\\\\..*)?\$", "write": "^(attune(\\\\..*)?|amq\\\\.default)\$", "read": "^attune(\\\\..*)?\$"},
    {"user": "attune-worker", "vhost": "/", "configure": "^amq\\\\.gen-.*\$", "write": "^(attune\\\\.workers|amq\\\\.gen-.*)\$", "read": "^(attune|attune\\\\.execution\\\\.requested\\\\.[^.]+|amq\\\\.gen-.*)\$"}
  ],
  "topic_permissions": [
    {"user": "attune-bridge", "vhost": "/", "exchange": "attune", "write": "^(enforcement\\\\.created|execution\\\\.(ended|cancel|requested\\\\..*))\$", "read": "^.*\$"},
    {"user": "attune-bridge", "vhost": "/", "exchange": "attune.workers", "write": "^\$", "read": "^.*\$"},
    {"user": "attune-bridge", "vhost": "/", "exchange": "attune.dead", "write": "^.*\$", "read": "^.*\$"},
    {"user": "attune-worker", "vhost": "/", "exchange": "attune", "write": "^\$", "read": "^execution\\\\.cancel\$"},
    {"user": "attune-worker", "vhost": "/", "exchange": "attune.workers", "write": "^execution\\\\.(claim|renew|completed)\\\\.[^.]+\$", "read": "^\$"},
    {"user": "attune-worker", "vhost": "/", "exchange": "attune.dead", "write": "^\$", "read": "^\$"}
  ]
}
JSON
}

if [ "${1:-}" = definitions ]; then
	definitions
	exit
fi
umask 077
definitions >/etc/rabbitmq/definitions.json
echo 'load_definitions = /etc/rabbitmq/definitions.json' >/etc/rabbitmq/conf.d/20-attune.conf
chown rabbitmq:rabbitmq /etc/rabbitmq/definitions.json /etc/rabbitmq/conf.d/20-attune.conf
exec docker-entrypoint.sh rabbitmq-server
