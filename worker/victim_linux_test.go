package worker_test

import (
	"context"
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

// The variables that make the test program a worker that runs the scripts of a folder, under a lease that is not renewed.
const (
	victimEnv = "WORKER_TEST_VICTIM"
	leaseEnv  = "WORKER_TEST_LEASE"
	userEnv   = "WORKER_TEST_USER"   // of the actions; empty: the worker's own
	runsEnv   = "WORKER_TEST_RUNS"   // the folder of run folders
	limitsEnv = "WORKER_TEST_LIMITS" // not empty: actions have limits
)

// refusedCode is the exit code of a program whose settings the worker refuses.
const refusedCode = 3

// runVictim makes the program a worker if the variables say so.
func runVictim() (isVictim bool) {
	dir := os.Getenv(victimEnv)
	if dir == "" {
		return false
	}
	lease, err := time.ParseDuration(os.Getenv(leaseEnv))
	if err != nil {
		panic(err)
	}
	queue := &requests{queue: make(chan worker.Request, 100)}
	scripts, _ := filepath.Glob(filepath.Join(dir, "*.sh"))
	for _, script := range scripts {
		queue.push(request("./" + filepath.Base(script)))
	}
	grants := &claims{
		answer: func(_ context.Context, q attune.ExecutionClaimMessage) (attune.ClaimDecision, error) {
			reply := granted(q)
			reply.Reply.Lease = attune.Duration(lease)
			return reply, nil
		},
		renew: func(ctx context.Context, _ attune.ExecutionRenewMessage) (attune.ExecutionRenewReply, error) {
			<-ctx.Done()
			return attune.ExecutionRenewReply{}, ctx.Err()
		},
	}
	w, err := worker.New(worker.Config{
		Name: "victim", Slots: 100, Packs: map[string]string{"demo": dir}, Action: actionOf, User: os.Getenv(userEnv), RunDir: os.Getenv(runsEnv),
		KillGrace: time.Second, Limited: os.Getenv(limitsEnv) != "",
	}, queue, grants, &reports{published: make(chan attune.ExecutionCompletedMessage, 100)}, discard())
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(refusedCode)
	}
	begun := strconv.FormatInt(time.Now().UnixNano(), 10) // before every claim
	if err := os.WriteFile(filepath.Join(dir, "claimed"), []byte(begun+"\n"), 0o644); err != nil {
		panic(err)
	}
	_ = w.Run(context.Background())
	return true
}

// victim is a worker in another process.
type victim struct {
	*bundle
	cmd     *exec.Cmd
	escapes []string // by name
}

// startVictim starts a worker that runs every escape but the excepted ones, and returns when all of them run.
func startVictim(t *testing.T, lease time.Duration, except ...string) *victim {
	t.Helper()
	v := newVictim(t, lease, except...)
	require.Eventually(t, v.up, deadline, tick, "escapes %v do not run", v.escapes)
	require.GreaterOrEqual(t, len(runningIn(v.dir)), 2*len(v.escapes))
	return v
}

// newVictim starts a worker that runs every escape but the excepted ones.
func newVictim(t *testing.T, lease time.Duration, except ...string) *victim {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	v := &victim{bundle: &bundle{dir: t.TempDir()}, cmd: exec.Command(program)}
	v.escapes = slices.DeleteFunc(slices.Sorted(maps.Keys(escapes())), func(name string) bool { return slices.Contains(except, name) })
	for _, name := range v.escapes {
		escape(t, v.bundle, name, forEver)
	}
	v.cmd.Env = append(os.Environ(), victimEnv+"="+v.dir, leaseEnv+"="+lease.String(), "TMPDIR="+t.TempDir())
	require.NoError(t, v.cmd.Start())
	t.Cleanup(func() {
		_ = v.cmd.Process.Kill()
		_ = v.cmd.Wait()
	})
	return v
}

// up reports whether all escapes of the worker have started their processes.
func (v *victim) up() bool {
	return !slices.ContainsFunc(v.escapes, func(name string) bool {
		line, _ := os.ReadFile(v.path("up-" + name))
		return !strings.Contains(string(line), "\n")
	})
}

// claimed returns a time before the worker sent its first claim.
func (v *victim) claimed(t *testing.T) time.Time {
	t.Helper()
	nanoseconds, err := strconv.ParseInt(strings.TrimSpace(v.read(t, "claimed")), 10, 64)
	require.NoError(t, err)
	return time.Unix(0, nanoseconds)
}

// TestTrees_WorkerDiesBeforeTheStart kills workers after they have ordered an action and before its supervisor has started it. The
// supervisor finds the order and the death of the worker together, or one soon after the other: it starts nothing, or kills what it
// has started.
func TestTrees_WorkerDiesBeforeTheStart(t *testing.T) {
	t.Parallel()
	program, err := os.Executable()
	require.NoError(t, err)
	for name, stopped := range map[string]string{"a supervisor that is stopped": "yes", "a supervisor that runs": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range 20 {
				b := &bundle{dir: t.TempDir()}
				cmd := exec.CommandContext(t.Context(), program)
				cmd.Env = append(os.Environ(), worker.OrphanEnv+"="+b.dir, worker.StoppedEnv+"="+stopped)
				cmd.Stderr = os.Stderr
				require.EqualError(t, cmd.Run(), "signal: killed")
				supervisor := b.pid(t, "supervisor")
				requireGone(t, supervisor) // so that nothing is left that could start the action
				require.Empty(t, runningIn(b.dir))
				_, _ = syscall.Wait4(supervisor, nil, syscall.WNOHANG, nil) // the test program is a subreaper if a worker runs in it
			}
		})
	}
}
