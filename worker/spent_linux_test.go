package worker

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/worker/supervise"
)

// TestSupervisor_Spent sends a command to kill that arrives late: the action has ended. The supervisor starts no other action, and
// the worker starts the next one under another supervisor.
func TestSupervisor_Spent(t *testing.T) {
	t.Parallel()
	pool := &supervisors{parent: writableCgroup(t)}
	t.Cleanup(pool.close)
	late, err := newSupervisor(pool.parent, nil)
	require.NoError(t, err)
	late.send(supervise.Kill())
	_, err = late.start(supervise.Action{Path: supervise.Program, Args: []string{"true"}, Dir: "/"}, devNull(t), sinceBoot()+bootTime(time.Hour), heldFor(time.Hour))
	require.ErrorIs(t, err, errSpent)

	pool.put(late)
	p, err := startProcess(t.Context(), pool, command{path: "/bin/sh", args: []string{"sh", "-c", "exit 7"}, dir: "/"}, heldFor(time.Hour), DefaultOutputLimit)
	require.NoError(t, err)
	p.wait(t.Context(), make(chan struct{}), time.Minute, time.Minute)
	require.Equal(t, 7, p.status.ExitStatus())
	_, err = late.control.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrClosed, "the worker has ended the supervisor")
}

func devNull(t *testing.T) [3]*os.File {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = null.Close() })
	return [3]*os.File{null, null, null}
}
