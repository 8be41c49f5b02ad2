package worker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestTrees_AfterKill runs actions after one that needed SIGKILL. The kernel kills a process at once that is started in a cgroup
// whose cgroup.kill was written to before, so no later action may get the cgroup of a killed one.
func TestTrees_AfterKill(t *testing.T) {
	t.Parallel()
	const stubborn = `setsid sh -c 'trap "" TERM; echo up > up; while :; do sleep 0.05; done' & until [ -s up ]; do sleep 0.02; done; `
	short := func(c *worker.Config) {
		c.Slots, c.KillGrace, c.OutputGrace = 1, 200*time.Millisecond, 100*time.Millisecond
	}
	requireRuns := func(t *testing.T, b *bundle) {
		t.Helper()
		for range 20 {
			got := b.do(t, request("true"))
			require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
		}
	}
	for name, kill := range map[string]func(*testing.T, *bundle) attune.ExecutionStatus{
		"a child that ignores SIGTERM is killed": func(t *testing.T, b *bundle) attune.ExecutionStatus {
			t.Helper()
			return b.do(t, request("sh", "-c", stubborn)).Status
		},
		"an action that ignores SIGTERM is cancelled": func(t *testing.T, b *bundle) attune.ExecutionStatus {
			t.Helper()
			m := request("sh", "-c", `trap "" TERM; `+stubborn+forEver)
			b.requests.push(m)
			b.read(t, "up")
			require.True(t, b.Cancel(idOf(m)))
			return b.reports.next(t).Status
		},
		"an action that ignores SIGTERM has no more time": func(t *testing.T, b *bundle) attune.ExecutionStatus {
			t.Helper()
			m := request("sh", "-c", `trap "" TERM; `+forEver)
			m.Timeout = attune.Duration(time.Second)
			return b.do(t, m).Status
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, short).start(t)
			if got := b.do(t, request("cat", "/proc/self/cgroup")); !strings.Contains(got.Stdout, "/attune-") {
				t.Skipf("NOT SHOWN: no cgroup of version 2 in which this user may create others: %s", got.Stdout)
			}
			for range 2 {
				require.NotEmpty(t, kill(t, b))
				require.Empty(t, runningIn(b.dir))
				requireRuns(t, b)
				_ = os.Remove(b.path("up"))
			}
		})
	}
}

// TestTrees_KilledCgroup runs a worker in a cgroup that was killed before, as a service manager leaves it when it kills a worker and
// starts the next one.
func TestTrees_KilledCgroup(t *testing.T) {
	t.Parallel()
	if os.Getenv(aloneEnv) == "" {
		inKilledCgroup(t)
		return
	}
	b := setup(t).start(t)
	for range 3 {
		got := b.do(t, request("cat", "/proc/self/cgroup"))
		require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
		require.Contains(t, got.Stdout, "/attune-")
	}
}

// inKilledCgroup runs the test in a process of a new cgroup that was killed before.
func inKilledCgroup(t *testing.T) {
	t.Helper()
	parent, err := worker.OwnCgroupFolder()
	if err != nil {
		t.Skip("NOT SHOWN: no cgroup of version 2")
	}
	dir, err := os.MkdirTemp(parent, "test-") //nolint:usetesting // a cgroup
	if err != nil {
		t.Skip("NOT SHOWN: no cgroup of version 2 in which this user may create others: ", err)
	}
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(dir, "attune-*"))
		for _, below := range left {
			_ = os.Remove(below)
		}
		require.NoError(t, os.Remove(dir))
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.kill"), []byte("1"), 0))
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `echo $$ > "$0/cgroup.procs" && exec "$@"`, dir, program,
		"-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneEnv+"=yes")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	require.Contains(t, string(output), "--- PASS: "+t.Name())
}
