package worker

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// sleeper starts a shell that sleeps for ever, under a lease.
func sleeper(t *testing.T, held *leash) (p *process, dir string, err error) {
	t.Helper()
	path, err := exec.LookPath("sh")
	require.NoError(t, err)
	dir = t.TempDir()
	pool := &supervisors{}
	t.Cleanup(pool.close)
	c := command{
		path: path, args: []string{"sh", "-c", "echo up > up; while :; do sleep 0.02; done"}, env: os.Environ(), dir: dir,
		runDir: dir, stdin: []byte("{}"),
	}
	p, err = startProcess(t.Context(), pool, c, held, DefaultOutputLimit)
	return p, dir, err
}

// requireOverdue waits for the end of a process, which the supervisor kills.
func requireOverdue(t *testing.T, p *process) {
	t.Helper()
	interrupted, killed := p.wait(t.Context(), make(chan struct{}), time.Minute, time.Minute)
	require.True(t, interrupted)
	require.True(t, killed)
	require.True(t, p.overdue)
	require.Equal(t, syscall.SIGKILL, p.status.Signal())
}

// suspended returns the moment when the worker sent a message before the machine was suspended for an hour: the monotonic clock has
// not moved since.
func suspended() moment {
	sent := now()
	sent.boot -= bootTime(time.Hour)
	return sent
}

// heldFor returns a leash that ends with its lease after some time.
func heldFor(length time.Duration) *leash {
	held, end := new(leash), sinceBoot()+bootTime(length)
	held.set(end, end)
	return held
}

// minLease is the shortest lease that the settings of a bridge allow.
const minLease = 10 * time.Second

// TestTree_KillWait gives a supervisor a part of what is left of the lease, also of the shortest one.
func TestTree_KillWait(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		length, ago, most time.Duration
	}{
		"the worker kills below the shortest lease half way from its kill to the end": {minLease, minLease * 15 / 16, minLease / 32},
		"a lease that is over leaves no time":                                         {minLease, minLease, 0},
		"a cancel in the middle of a long lease leaves the supervisor its time":       {time.Hour, time.Minute, killWait},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := leaseSent(test.ago, test.length)
			held := new(leash)
			held.set(l.deadline(), l.end())
			wait := (&tree{leash: held}).killWait()
			require.LessOrEqual(t, wait, test.most)
			require.LessOrEqual(t, 2*wait, max(0, time.Duration(l.end()-l.from.boot)-test.ago), "half of the lease is left to the worker")
			if test.most == killWait {
				require.Equal(t, killWait, wait)
			}
		})
	}
}

// TestSupervisor_NoAnswer starts an action under a supervisor that reports nothing: a process that reads no command.
func TestSupervisor_NoAnswer(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, held *leash) error {
		t.Helper()
		ours, theirs, err := controlSocket()
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = ours.Close(), theirs.Close() })
		process, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = process.Kill(), process.Release() })
		action := supervise.Action{Path: "/bin/true", Args: []string{"true"}, Dir: "/"}
		_, err = (&supervisor{process: process, control: ours}).start(action, devNull(t), held.now(), held)
		return err
	}

	t.Run("the worker kills it when the lease is over", func(t *testing.T) {
		t.Parallel()
		began := time.Now()
		held := heldFor(200 * time.Millisecond)
		require.Error(t, start(t, held))
		require.GreaterOrEqual(t, sinceBoot(), held.now())
		require.Less(t, time.Since(began), startWait+endWait, "the lease has ended the wait")
	})

	t.Run("the worker waits for it while the lease is renewed", func(t *testing.T) {
		t.Parallel()
		held := heldFor(3 * time.Second)
		renewed := held.now() + bootTime(time.Second)
		time.AfterFunc(0, func() { held.set(renewed, renewed) })
		require.Error(t, start(t, held))
		require.GreaterOrEqual(t, sinceBoot(), renewed)
	})
}

// TestLease_Deadline computes the deadline of the supervisor.
func TestLease_Deadline(t *testing.T) {
	t.Parallel()
	sent := moment{at: time.Now(), boot: bootTime(time.Hour)}
	l := lease{from: sent, length: 16 * time.Second}
	require.Equal(t, bootTime(time.Hour+15*time.Second), l.deadline(), "it counts from the moment of sending")
	require.Equal(t, sent.at.Add(15*time.Second), l.killBy(), "it is the moment when the worker kills")
}

// TestSupervisor_Deadline runs processes whose leases end while no timer of the worker does.
func TestSupervisor_Deadline(t *testing.T) {
	t.Parallel()
	renewing := func(t *testing.T) (*renewer, *attempt) {
		t.Helper()
		r := newRenewer(nil, Config{Name: "w"}.WithDefaults(), slog.New(slog.DiscardHandler))
		_, a, _ := newRegister().enter(t.Context(), attune.AttemptID{Execution: 1, Attempt: 1})
		return r, a
	}

	t.Run("a process is killed at its deadline, and not before", func(t *testing.T) {
		t.Parallel()
		for length := 500 * time.Millisecond; ; length *= 2 { // a busy machine may not start a process in a short time
			held := new(leash)
			deadline := sinceBoot() + bootTime(length)
			held.set(deadline, deadline)
			p, _, err := sleeper(t, held)
			if err == nil {
				requireOverdue(t, p)
				require.GreaterOrEqual(t, sinceBoot(), deadline)
				return
			}
			require.ErrorIs(t, err, errLeaseOver)
			require.Less(t, length, 2*time.Minute)
		}
	})

	t.Run("a claim that was sent before a suspension starts nothing after it", func(t *testing.T) {
		t.Parallel()
		r, a := renewing(t)
		r.hold(a, lease{from: suspended(), length: time.Minute})
		_, dir, err := sleeper(t, &a.leash)
		require.ErrorIs(t, err, errLeaseOver)
		require.NoFileExists(t, filepath.Join(dir, "up"))
	})

	t.Run("a supervisor starts nothing when the lease is over", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		one, err := newSupervisor(cgroupParent{}, nil)
		require.NoError(t, err)
		t.Cleanup(one.close)
		for range 20 {
			_, err = one.start(touchIn(dir), [3]*os.File{os.Stdin, os.Stdout, os.Stderr}, sinceBoot(), heldFor(time.Hour))
			require.ErrorIs(t, err, errLeaseOver)
		}
		require.NoFileExists(t, filepath.Join(dir, "ran"))
	})

	t.Run("a renewal that was sent before a suspension keeps nothing alive after it", func(t *testing.T) {
		t.Parallel()
		r, a := renewing(t)
		r.hold(a, lease{from: now(), length: time.Hour})
		p, _, err := sleeper(t, &a.leash)
		require.NoError(t, err)
		sent := suspended()
		sent.at = sent.at.Add(time.Second) // after the claim
		r.applyReply(sent, []attune.AttemptID{a.id}, attune.ExecutionRenewReply{Lease: attune.Duration(time.Minute)})
		requireOverdue(t, p)
	})
}
