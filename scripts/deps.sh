#!/usr/bin/env bash
#
# Installs what attune's tests and `attune dev` run as child processes, without Docker:
#
#   PostgreSQL and RabbitMQ   from Debian or Ubuntu packages, only those that are missing
#   bin/attune-temporal       a Temporal server with its UI, built once from devenv/temporal/
#
# The script can be run again at any time: it reports installed parts and does not change them. It starts and stops no system
# service. `deps.sh packages` and `deps.sh temporal` each do one half.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly policy=/usr/sbin/policy-rc.d
policy_is_ours=no

say() { printf 'deps: %s\n' "$*"; }
die() {
	printf 'deps: %s\n' "$*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif type -P sudo >/dev/null; then
		sudo "$@"
	else
		die "installing packages needs root: run \"apt-get install ${missing[*]}\" as root, then run this script again"
	fi
}

# postgres_binary and rabbitmq_binary print the path of the server. They search like devenv/services.
postgres_binary() {
	local candidates
	type -P postgres && return
	candidates=$(printf '%s\n' /usr/lib/postgresql/*/bin/postgres | sort --version-sort --reverse)
	first_executable "$candidates"
}

rabbitmq_binary() {
	first_executable "/usr/lib/rabbitmq/bin/rabbitmq-server" || type -P rabbitmq-server
}

first_executable() {
	local path
	while IFS= read -r path; do
		if [ -x "$path" ]; then
			printf '%s\n' "$path"
			return 0
		fi
	done <<<"$1"
	return 1
}

report_postgres() {
	local binary
	binary=$(postgres_binary) || return 1
	say "PostgreSQL: $("$binary" --version) ($binary)"
}

# report_rabbitmq reads the version from the name of the installation folder: the server's own command starts an Erlang machine.
report_rabbitmq() {
	local binary real version
	binary=$(rabbitmq_binary) || return 1
	real=$(readlink -f "$binary")
	version=$(sed -n 's|.*/rabbitmq_server-\([0-9][^/]*\)/.*|\1|p' <<<"$real")
	say "RabbitMQ: ${version:-installed} ($binary)"
}

# deny_service_starts keeps the package scripts from starting the new services. It does not change an existing policy of the
# machine.
deny_service_starts() {
	[ -e "$policy" ] && return
	policy_is_ours=yes
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
	as_root chmod 755 "$policy"
}

restore_service_starts() {
	if [ "$policy_is_ours" = yes ]; then
		policy_is_ours=no
		as_root rm -f "$policy"
	fi
}

# end_port_mapper ends the Erlang port mapper (epmd) that the package scripts of a first installation leave running. epmd refuses
# while a node uses it.
end_port_mapper() {
	type -P epmd >/dev/null && as_root epmd -kill >/dev/null 2>&1 || true
}

install_packages() {
	local epmd_before
	epmd_before=$(type -P epmd || true)
	say "installing ${missing[*]} with apt-get"
	trap restore_service_starts EXIT
	deny_service_starts
	as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >/dev/null
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
	restore_service_starts
	[ -n "$epmd_before" ] || end_port_mapper
}

packages() {
	missing=()
	report_postgres || missing+=(postgresql)
	report_rabbitmq || missing+=(rabbitmq-server)
	[ "${#missing[@]}" -eq 0 ] && return

	type -P apt-get >/dev/null ||
		die "not found: ${missing[*]} (Debian package names). Install them with your package manager, or run the services with: sh deploy/env.sh && docker compose up"
	install_packages

	report_postgres || die "postgresql is installed but the server binary was not found on PATH or in /usr/lib/postgresql/*/bin"
	report_rabbitmq || die "rabbitmq-server is installed but was not found on PATH or in /usr/lib/rabbitmq/bin"
}

temporal() {
	type -P go >/dev/null || die "go was not found on PATH: install Go from https://go.dev/dl, then run this script again"
	local cli
	if cli=$(type -P temporal); then
		say "Temporal: ATTUNE_TEMPORAL_BIN=$cli would use the CLI's development server instead of bin/attune-temporal"
	fi
	if [ ! -x bin/attune-temporal ]; then
		say "Temporal: building bin/attune-temporal; the first build takes some minutes"
	fi
	mkdir -p bin
	(cd devenv/temporal && go build -o ../../bin/attune-temporal .)
	say "Temporal: $(bin/attune-temporal --version) (bin/attune-temporal)"
}

case "${1:-all}" in
all)
	packages
	temporal
	;;
packages) packages ;;
temporal) temporal ;;
*) die "unknown argument \"$1\"; use: deps.sh [packages|temporal]" ;;
esac
