#!/bin/sh
#
# usage: soak.sh [PROOF…]
#
# Runs the long forms of the long proofs, one after the other, and prints a line for each: the result, how many tests ran, how long
# it took, and what the tests have measured. Without arguments it runs all of them. The exit code is 1 if one failed.
#
# A proof is a line of the table below: its name, its package, and the flags of `go test`. The output of a proof that failed is
# printed and kept.

set -u

proofs() {
	cat <<-'TABLE'
		changes      ./e2e        -run ^TestChanges_ManyAtOnce$
		backlog      ./e2e        -run ^TestBacklog$
		expressions  ./e2e        -run ^TestExpressions_
		text         ./e2e        -run ^TestText_
		installation ./e2e        -run ^TestInstallation_ -count=5
		kills        ./e2e        -run ^Test(OrchestratorKilled|BridgeKilled|WorkerKilled|WorkerCutOff|LeaseIsRenewed) -count=5
		oracle       ./semaphore  -run ^TestState_ -rapid.checks=100000
		policy       ./policy     -rapid.checks=100000
		proof        ./proof      -rapid.checks=10000
		bounds       ./rules      -run ^(TestEngine_Decide_EveryFunctionIsBounded|TestEngine_CheckEvent_LargestPayloads)$
		storms       ./workflows  -run Storms|ConstantLoad|UnhandledCommand|ManyAtOnce -count=10
		races        ./postgres   -run Race|RandomWalk|AtOnce|Concurrently|KeepThePromises -count=20
		leases       ./worker     -run ^TestKeeper_|^TestWorker_(Renews|Lost|Claim|Duplicates|Killed) -count=10
	TABLE
}

# pure names the proofs without goroutines: the race detector would find nothing in them and take ten times as long.
pure='oracle policy proof bounds'

kept=$(mktemp -d) || exit 1
failed=0

# prove runs one proof and prints its line.
prove() {
	name=$1
	package=$2
	shift 2
	cgo=$(go env CGO_ENABLED)
	case " $pure " in *" $name "*) cgo=0 ;; esac
	begun=$(date +%s)
	result=ok
	CGO_ENABLED=$cgo ATTUNE_TEST_SOAK=1 go tool -modfile=tools/go.mod gotestsum --format standard-quiet --jsonfile "$kept/$name.json" --raw-command -- \
		tools/gotest.sh "-count=1 -timeout 3h -p 1 -parallel 4 $*" "$package" >"$kept/$name.txt" 2>&1 || result=FAIL
	go run ./devenv/testenv/await >>"$kept/$name.txt" 2>&1 || result=FAIL
	tests=$(sed -n 's/^DONE \([0-9]*\) tests.*/\1/p' "$kept/$name.txt" | tail -n 1)
	if [ "${tests:-0}" = 0 ]; then
		result=FAIL
	fi
	printf '%-4s %-12s %4s tests %6ss  %s %s\n' "$result" "$name" "${tests:-0}" $(($(date +%s) - begun)) "$package" "$*"
	sed -n 's/.*"Output":".*: measured: \(.*\)\\n"}$/                  \1/p' "$kept/$name.json"
	if [ "$result" = FAIL ]; then
		failed=1
		cat "$kept/$name.txt"
	fi
}

wanted=" $* "
while read -r name package flags; do
	case "$wanted" in "  " | *" $name "*) prove "$name" "$package" "$flags" </dev/null ;; esac
done <<-EOT
	$(proofs)
EOT

if [ "$failed" = 0 ]; then
	rm -r "$kept"
else
	echo "soak: the output of what failed is in $kept"
fi
exit "$failed"
