#!/bin/sh
#
# usage: gotest.sh FLAGS PACKAGE…
#
# Tests the packages and prints the events of `go test -json`, which gotestsum reads as one run. If there is a C compiler,
# packages in which goroutines share state run with the race detector. For the other packages the race detector would take
# several times as long and find nothing.

set -u

raced='^github\.com/attune-go/attune/(semaphore|worker|rabbitmq|bridge)(/|$)'
flags=$1
shift

packages=$(go list "$@") || exit 1
if [ "$(go env CGO_ENABLED)" != 1 ]; then
	raced='^$'
fi

# run tests the packages in the first argument, one per line. It does nothing for an empty list.
run() {
	selected=$1
	shift
	# shellcheck disable=SC2086 # lists of flags and packages are split on purpose
	[ -z "$selected" ] || go test -json $flags "$@" $selected || status=1
}

status=0
run "$(printf '%s\n' "$packages" | grep -vE "$raced")"
run "$(printf '%s\n' "$packages" | grep -E "$raced")" -race
exit "$status"
