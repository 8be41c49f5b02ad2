#!/bin/sh
#
# usage: soak.sh [PROOF…]
#
# Runs the long forms of the long proofs, one after the other, and prints a line for each: the result, how many tests ran, how long
# it took, and what the tests have measured. Without arguments it runs all of them. The exit code is 1 if one failed.
#
# A proof is a line of the table below: its name, its package, the number of checks of each property (0: no properties, or the default
# number), and the flags of `go test`. The output of a proof that failed is printed and kept.

set -u

proofs() {
	cat <<-'TABLE'
		changes      ./e2e       0      -run ^TestChanges_ManyAtOnce$
		policies     ./e2e       0      -run ^TestPolicies_(Many|Thousands|LiveWhileManyWait)
		scenarios    ./e2e       0      -run ^TestScenarios$
		backlog      ./e2e       0      -run ^TestBacklog$
		try          ./e2e       0      -run ^TestPolicyTry$
		expressions  ./e2e       0      -run ^TestExpressions_
		text         ./e2e       0      -run ^TestText_
		installation ./e2e       0      -run ^TestInstallation_ -count=3
		kills        ./e2e       0      -run ^Test(OrchestratorKilled|BridgeKilled|WorkerKilled|WorkerCutOff|LeaseIsRenewed) -count=3
		trees        ./e2e       0      -run ^TestTrees_OneExecutionAtATime$
		escapes      ./worker    0      -run ^TestTrees_ -count=10
		oracle       ./semaphore 100000 -run ^TestState_
		policy       ./policy    100000
		proof        ./proof     10000
		forecast     ./forecast  10000  -run ^TestWait
		bounds       ./rules     0      -run ^TestEngine_.*(EveryFunctionIsBounded|LargestPayloads|MemoryIsBounded|MemoryIsBoundedForAnySchema)$
		keys         ./workflows 0      -run ^TestActionQueueWorkflow_ManyKeys$
		storms       ./workflows 0      -run Storms|ConstantLoad|UnhandledCommand|ManyAtOnce -count=10
		races        ./postgres  0      -run Race|RandomWalk|AtOnce|Concurrently|KeepThePromises -count=20
		leases       ./worker    0      -run Renew|Lease|Claim|Lost|Killed|Duplicates -count=30
	TABLE
}

kept=$(mktemp -d) || exit 1
failed=0

# prove runs one proof and prints its line.
prove() {
	name=$1
	package=$2
	checks=$3
	shift 3
	export ATTUNE_TEST_SOAK=1
	if [ "$checks" = 0 ]; then
		unset RAPID_CHECKS CGO_ENABLED
	else
		# Properties have no goroutines: the race detector would find nothing in them and take ten times as long.
		export RAPID_CHECKS="$checks" CGO_ENABLED=0
	fi
	begun=$(date +%s)
	result=ok
	go tool -modfile=tools/go.mod gotestsum --format standard-quiet --jsonfile "$kept/$name.json" --raw-command -- \
		tools/gotest.sh "-count=1 -timeout 3h -p 1 -parallel 4 $*" "$package" >"$kept/$name.txt" 2>&1 || result=FAIL
	go run ./devenv/testenv/await >>"$kept/$name.txt" 2>&1 || result=FAIL
	tests=$(sed -n 's/^DONE \([0-9]*\) tests.*/\1/p' "$kept/$name.txt" | tail -n 1)
	if [ "${tests:-0}" = 0 ]; then
		result=FAIL
	fi
	printf '%-4s %-12s %4s tests %6ss  %s %s\n' "$result" "$name" "${tests:-0}" $(($(date +%s) - begun)) "$package" "$* ${RAPID_CHECKS:+RAPID_CHECKS=$RAPID_CHECKS}"
	sed -n 's/.*"Output":".*: measured: \(.*\)\\n"}$/                  \1/p' "$kept/$name.json"
	if [ "$result" = FAIL ]; then
		failed=1
		cat "$kept/$name.txt"
	fi
}

wanted=" $* "
while read -r name package checks flags; do
	case "$wanted" in "  " | *" $name "*) prove "$name" "$package" "$checks" "$flags" </dev/null ;; esac
done <<-EOT
	$(proofs)
EOT

if [ "$failed" = 0 ]; then
	rm -r "$kept"
else
	echo "soak: the output of what failed is in $kept"
fi
exit "$failed"
