#!/bin/sh
#
# usage: gotest.sh FLAGS PACKAGE…
#
# Prints the events (go test -json) of testing the packages, for gotestsum to read as one run. Packages in which
# goroutines share state are tested with the race detector, where there is a C compiler; with it, everything would take
# several times as long and find no more.

set -u

raced='^github\.com/attune-go/attune/(semaphore|worker|rabbitmq|bridge)(/|$)'
flags=$1
shift

packages=$(go list "$@") || exit 1
if [ "$(go env CGO_ENABLED)" != 1 ]; then
	raced='^$'
fi

# run tests the packages in the first argument, one a line, if there are any.
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
