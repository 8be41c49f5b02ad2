package testenv_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv"
)

func TestAwait(t *testing.T) {
	// finishedRun leaves the files of a run whose go command has ended, and returns its lock.
	finishedRun := func(t *testing.T) string {
		t.Helper()
		t.Setenv("TMPDIR", t.TempDir())
		parent := exec.Command("true")
		require.NoError(t, parent.Run())
		name := fmt.Sprintf("attune-testenv-%d-%d-1", os.Getuid(), parent.Process.Pid)
		base := filepath.Join(os.Getenv("TMPDIR"), name)
		require.NoError(t, os.Mkdir(base, 0o755))
		require.NoError(t, os.WriteFile(base+".lock", nil, 0o644))
		return base + ".lock"
	}

	t.Run("the files of a killed daemon are deleted", func(t *testing.T) {
		finishedRun(t)
		left, err := testenv.Await(t.Context())
		require.NoError(t, err)
		require.Empty(t, left)
		files, err := os.ReadDir(os.Getenv("TMPDIR"))
		require.NoError(t, err)
		require.Empty(t, files)
	})

	t.Run("a daemon that stays is reported", func(t *testing.T) {
		path := finishedRun(t)
		lock, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		defer lock.Close()
		require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		left, err := testenv.Await(ctx)
		require.NoError(t, err)
		require.Len(t, left, 1)
		require.Contains(t, left[0], "the daemon of ")
	})
}
