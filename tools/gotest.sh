#!/bin/sh
#
# usage: gotest.sh FLAGS PACKAGE…
#
# Tests the packages and prints the events of `go test -json`, which gotestsum reads as one run. If there is a C compiler,
# packages in which goroutines share state run with the race detector. For the other packages the race detector would take
# several times as long and find nothing: package semaphore, for example, is for one goroutine, and its tests start no other.
#
# Go tests the packages in the given order. Those that take longest come first, so that the short ones fill the end of the run.

set -u

raced='^github\.com/attune-go/attune/(worker|rabbitmq|bridge)(/|$)'
longest='^github\.com/attune-go/attune/(e2e|workflows)$'
flags=$1
shift

packages=$(go list "$@") || exit 1
packages=$(
	printf '%s\n' "$packages" | grep -E "$longest"
	printf '%s\n' "$packages" | grep -vE "$longest"
)
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
