package worker_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// escapes returns scripts that start processes in the ways in which processes get out of reach. Each writes a line to the
// file "up-<name>" when its processes run. A script is followed by an ending.
func escapes() map[string]string {
	return map[string]string{
		"child":       `sleep 1000 & echo up > "$up"`,
		"double-fork": `( (sleep 1000 & echo up > "$up") & )`,
		"setsid":      `setsid sh -c 'echo up > "$0"; sleep 1000' "$up" &`,
		"daemon":      `( setsid sh -c '(setsid sh -c "echo up > $0; sleep 1000" &) ' "$up" & )`,
		"nohup":       `nohup sleep 1000 >/dev/null 2>&1 & echo up > "$up"`,
		"stubborn":    `trap '' TERM HUP INT; sh -c 'echo up > "$0"; while :; do sleep 0.05; done' "$up" &`,
		"closes-pipes": `exec <&- >&- 2>&-
			sleep 1000 & echo up > "$up"`,
		"renames-itself":       `sh -c 'printf "x) Z 1 1 (" > /proc/$$/comm; echo up > "$0"; while :; do sleep 1000; done' "$up" &`,
		"no-environment":       `env -i setsid sh -c 'echo up > "$0"; sleep 1000' "$up" &`,
		"stops-its-supervisor": `setsid sleep 1000 & kill -STOP $PPID; echo up > "$up"`,
		"forbids-files":        "setsid sleep 1000 & " + limits("$PPID", openFiles, 0, 0) + ` && echo up > "$up"`,
		"zombie-leader":        fmt.Sprintf(`%s="$up" setsid %q &`, zombieEnv, os.Args[0]),
		// Processes start two each until there are 63, and three processes start a successor and end, again and again: a kill of
		// what is there misses the successors.
		"fork-bomb": `printf '#!/bin/sh\n[ $1 = 1 ] || { "$0" $(($1 / 2)) & "$0" $(($1 / 2)) & }\nsleep 1000' > bomb.sh
			printf '#!/bin/sh\nsleep 0.02\nsetsid "$0" & exit\n' > runner.sh
			chmod +x bomb.sh runner.sh
			./bomb.sh 32 & ./runner.sh & ./runner.sh & ./runner.sh & echo up > "$up"`,
	}
}

// escape writes the script of an escape and returns its name as a command.
func escape(t *testing.T, b *bundle, name, ending string) string {
	t.Helper()
	return b.script(t, fmt.Sprintf("cat > /dev/null\nup=up-%s\n%s\nuntil [ -s \"$up\" ]; do sleep 0.02; done\n%s", name, escapes()[name], ending))
}

const forEver = `while :; do sleep 0.05; done`

// runningIn lists the processes whose current folder is dir. The processes of the tests' actions do not leave it.
func runningIn(dir string) (pids []int) {
	links, _ := filepath.Glob("/proc/[0-9]*/task/[0-9]*/cwd")
	for _, link := range links {
		if at, err := os.Readlink(link); err == nil && at == dir { // a thread that has ended has no folder
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return slices.Compact(slices.Sorted(slices.Values(pids)))
}

// TestTrees_Ended ends actions whose processes have got out of reach. When the outcome is reported, none is left.
func TestTrees_Ended(t *testing.T) {
	t.Parallel()
	for _, name := range slices.Sorted(maps.Keys(escapes())) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			short := func(c *worker.Config) { c.KillGrace, c.OutputGrace = 300*time.Millisecond, 100*time.Millisecond }

			t.Run("by a cancel", func(t *testing.T) {
				t.Parallel()
				b := setup(t, short).start(t)
				m := request(escape(t, b, name, forEver))
				b.requests.push(m)
				b.read(t, "up-"+name)
				require.True(t, b.Cancel(idOf(m)))
				require.Equal(t, attune.ExecutionCancelled, b.reports.next(t).Status)
				require.Empty(t, runningIn(b.dir))
			})

			t.Run("by its timeout", func(t *testing.T) {
				t.Parallel()
				for timeout := time.Second; ; timeout *= 2 { // a busy machine may not start the processes in a short time
					b := setup(t, short).start(t)
					m := request(escape(t, b, name, forEver))
					m.Timeout = attune.Duration(timeout)
					require.Equal(t, attune.ExecutionTimedOut, b.do(t, m).Status)
					require.Empty(t, runningIn(b.dir))
					if _, err := os.Stat(b.path("up-" + name)); err == nil {
						return
					}
					require.Less(t, timeout, deadline)
				}
			})

			if name == "stops-its-supervisor" { // the next renewal or the timeout continues the supervisor
				return
			}
			t.Run("by itself", func(t *testing.T) {
				t.Parallel()
				b := setup(t, short).start(t)
				got := b.do(t, request(escape(t, b, name, "exit 0")))
				require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
				require.Empty(t, runningIn(b.dir))
			})
		})
	}
}

// TestTrees_SupervisorKilled runs actions that kill their supervisor. The worker becomes the parent of what is left.
func TestTrees_SupervisorKilled(t *testing.T) {
	t.Parallel()
	if !alone(t) { // every zombie below the process is one that the worker has left
		return
	}
	b := setup(t).start(t)
	other := request("sh", "-c", "echo $$ > other; exec sleep 1000")
	b.requests.push(other)
	survivor := b.pid(t, "other")
	for _, name := range []string{"child", "double-fork", "setsid", "daemon", "stubborn", "fork-bomb", "zombie-leader"} {
		got := b.do(t, request(escape(t, b, name, "kill -KILL $PPID; "+forEver)))
		require.Equal(t, attune.ExecutionFailed, got.Status)
		require.Equal(t, attune.ReasonSignal, got.Reason)
		require.Contains(t, got.Error, "the supervisor of the action was killed (signal: killed)")
		require.Equal(t, []int{survivor}, runningIn(b.dir), name)
	}
	got := b.do(t, request("true"))
	require.Equal(t, attune.ExecutionSucceeded, got.Status, "a new supervisor: %s", got.Error)
	require.True(t, b.Cancel(idOf(other)))
	require.Equal(t, attune.ExecutionCancelled, b.reports.next(t).Status)
	require.Empty(t, zombies(), "the worker has reaped all")
}

// TestTrees_Cgroup runs actions that kill what could find their processes, where the worker may create cgroups.
func TestTrees_Cgroup(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	got := b.do(t, request("cat", "/proc/self/cgroup"))
	if !strings.Contains(got.Stdout, "/attune-") {
		t.Skipf("no cgroup of version 2 in which this user may create others: %s", got.Stdout)
	}

	t.Run("a process without session and environment does not outlive its supervisor", func(t *testing.T) {
		t.Parallel()
		b := setup(t).start(t)
		got := b.do(t, request(escape(t, b, "no-environment", "kill -KILL $PPID; "+forEver)))
		require.Equal(t, attune.ReasonSignal, got.Reason, got.Error)
		require.Empty(t, runningIn(b.dir))
	})

	t.Run("the next worker kills what outlived both a supervisor and its worker", func(t *testing.T) {
		t.Parallel()
		v := startVictim(t, time.Hour, slices.DeleteFunc(slices.Collect(maps.Keys(escapes())),
			func(name string) bool { return name == "no-environment" })...)
		for _, supervisor := range childrenOf(v.cmd.Process.Pid) {
			require.NoError(t, syscall.Kill(supervisor, syscall.SIGSTOP)) // neither sees the death of the other
		}
		require.NoError(t, v.cmd.Process.Signal(syscall.SIGSTOP))
		for _, process := range append(childrenOf(v.cmd.Process.Pid), v.cmd.Process.Pid) {
			require.NoError(t, syscall.Kill(process, syscall.SIGKILL))
		}
		_ = v.cmd.Wait()
		setup(t).start(t)
		require.Eventually(t, func() bool { return len(runningIn(v.dir)) == 0 }, deadline, tick)
	})
}

// aloneEnv is the variable of a test program that runs one test, in a process without the children of other tests.
const aloneEnv = "WORKER_TEST_ALONE"

// alone reports whether this process runs only the test t. If not, it runs the test in such a process first.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneEnv) != "" {
		return true
	}
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneEnv+"=yes")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "--- PASS: "+t.Name())
	return false
}

// zombies lists the processes below the test program that have ended and were not reaped, as "pid (name)".
func zombies() (all []string) {
	type process struct{ pid, parent, state, name string }
	var processes []process
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		line, _ := os.ReadFile(path)
		name, rest, found := strings.Cut(string(line[bytes.IndexByte(line, '(')+1:]), ") ")
		if fields := strings.Fields(rest); found && len(fields) > 1 {
			processes = append(processes, process{filepath.Base(filepath.Dir(path)), fields[1], fields[0], name})
		}
	}
	below := map[string]bool{strconv.Itoa(os.Getpid()): true}
	for found := true; found; {
		found = false
		for _, p := range processes {
			if !below[p.parent] || below[p.pid] {
				continue
			}
			below[p.pid], found = true, true
			if p.state == "Z" {
				all = append(all, p.pid+" ("+p.name+")")
			}
		}
	}
	return all
}

func childrenOf(pid int) (children []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		for field := range strings.FieldsSeq(string(text)) {
			child, _ := strconv.Atoi(field)
			children = append(children, child)
		}
	}
	return children
}

// TestTrees_IdleSupervisorsKilled kills the supervisors between two runs.
func TestTrees_IdleSupervisorsKilled(t *testing.T) {
	t.Parallel()
	b := setup(t).start(t)
	m := request("sh", "-c", "echo $PPID > supervisor")
	require.Equal(t, attune.ExecutionSucceeded, b.do(t, m).Status)
	supervisor := b.pid(t, "supervisor")
	require.NoError(t, syscall.Kill(supervisor, syscall.SIGKILL))
	requireGone(t, supervisor)
	got := b.do(t, request("sh", "-c", "echo $PPID > next"))
	require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
	require.NotEqual(t, supervisor, b.pid(t, "next"))
}

// TestTrees_WorkerEnds kills a worker, or stops it for longer than its lease, while each escape runs. No process may be
// left when the lease is over. The worker is another process.
func TestTrees_WorkerEnds(t *testing.T) {
	t.Parallel()

	t.Run("a killed worker leaves no process", func(t *testing.T) {
		t.Parallel()
		v := startVictim(t, time.Hour)
		require.NoError(t, v.cmd.Process.Kill())
		require.Eventually(t, func() bool { return len(runningIn(v.dir)) == 0 }, deadline, tick)
	})

	t.Run("a stopped worker has no process when its lease is over", func(t *testing.T) {
		t.Parallel()
		for lease := 10 * time.Second; ; lease *= 2 { // a busy machine may not start the processes, and end them, in a short lease
			v := newVictim(t, lease, "stops-its-supervisor")
			require.Eventually(t, func() bool { return v.up() || time.Since(v.claimed(t)) > lease/2 }, deadline, tick)
			started := v.up()
			require.NoError(t, v.cmd.Process.Signal(syscall.SIGSTOP))
			require.Eventually(t, func() bool { return len(runningIn(v.dir)) == 0 }, deadline, tick)
			if started && time.Since(v.claimed(t)) < lease {
				return
			}
			require.Less(t, lease, deadline, "processes were left at the end of the lease")
		}
	})
}
