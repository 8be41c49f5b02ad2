package worker

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/worker/supervise"
)

// ForbidFiles runs f while the process may not open files.
func ForbidFiles(t *testing.T, f func()) {
	t.Helper()
	limits, err := supervise.ReadLimits()
	require.NoError(t, err)
	none := *limits
	none[syscall.RLIMIT_NOFILE].Cur = 0
	require.NoError(t, none.Restore())
	f()
	require.NoError(t, limits.Restore())
}

// lines is a log that may be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Contains(l.text.Bytes(), []byte(text))
}

// CheckBlindHunt kills the processes of an attempt while the process may not open files and does not know its own limits. The hunt does
// not end before it has seen that none is left. Run it in a process of its own.
func CheckBlindHunt(t *testing.T) {
	t.Helper()
	orphan := exec.CommandContext(t.Context(), "sleep", "1000")
	orphan.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, orphan.Start())
	log := new(lines)
	pool := &supervisors{log: slog.New(slog.NewTextHandler(log, nil))}
	held := heldFor(200 * time.Millisecond)
	result := make(chan string, 1)
	ForbidFiles(t, func() {
		require.Error(t, supervise.KillOrphans(supervise.Marks{Session: orphan.Process.Pid, UID: supervise.NoUID}))
		go func() {
			result <- pool.killOrphans(supervise.Marks{Session: orphan.Process.Pid, UID: supervise.NoUID}, held)
		}()
		require.Eventually(t, func() bool { return log.has("may still run: the worker cannot search") }, time.Minute, time.Millisecond)
		require.Eventually(t, func() bool { return log.has("level=ERROR") && log.has("its lease is over") }, time.Minute, time.Millisecond)
		require.Empty(t, result)
		require.NoError(t, syscall.Kill(orphan.Process.Pid, 0), "it runs")
	})
	require.Contains(t, <-result, "the worker could not see whether its processes had ended: too many open files")
	require.ErrorIs(t, syscall.Kill(orphan.Process.Pid, 0), syscall.ESRCH)
	_ = orphan.Wait() // the hunt has reaped it
}

// TestThaw kills frozen processes. A frozen process of version 1 ends when it is thawed.
func TestThaw(t *testing.T) {
	t.Parallel()
	for _, h := range []hierarchy{version2(), version1()} {
		t.Run(h.filesystem, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp(cgroupOf("self", h).folder, "test-") //nolint:usetesting // a cgroup
			if err != nil || cgroupOf("self", h).folder == "" {
				t.Skip("NOT SHOWN: no cgroup in which this user may create others")
			}
			below := filepath.Join(dir, "below")
			require.NoError(t, os.Mkdir(below, 0o700))
			t.Cleanup(func() {
				_ = os.Remove(below)
				require.NoError(t, os.Remove(dir))
			})
			cmd := exec.CommandContext(t.Context(), "sleep", "1000")
			require.NoError(t, cmd.Start())
			require.NoError(t, writeExisting(filepath.Join(below, cgroupProcs), strconv.Itoa(cmd.Process.Pid)))
			frozen := map[string]string{"0": "1", "THAWED": "FROZEN"}[h.thawed]
			require.NoError(t, writeExisting(filepath.Join(dir, h.file), frozen), "the one above freezes it, too")
			require.NoError(t, writeExisting(filepath.Join(below, h.file), frozen))
			require.NoError(t, cmd.Process.Kill())
			thaw(cmd.Process.Pid)
			require.EqualError(t, cmd.Wait(), "signal: killed")
		})
	}
}
