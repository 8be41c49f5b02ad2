package worker

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestRunDirs opens the folders of several workers in one folder.
func TestRunDirs(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "data", "runs")
	open := func() *runDirs {
		dirs, err := openRunDirs(t.Context(), root, nil, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		t.Cleanup(func() { _ = dirs.lock.Close() })
		return dirs
	}
	id := attune.AttemptID{Execution: 4, Attempt: 2}
	dead, alive := open(), open()
	for _, dirs := range []*runDirs{dead, alive} {
		left := filepath.Join(dirs.path(id), "sealed")
		require.NoError(t, os.MkdirAll(left, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(left, "file"), nil, 0o400))
		require.NoError(t, os.Chmod(left, 0o500))
	}
	require.NoError(t, dead.lock.Close()) // as the kernel does when the worker dies

	third := open()
	require.NoDirExists(t, dead.dir)
	require.DirExists(t, alive.path(id))
	require.NotEqual(t, alive.path(id), third.path(id))
	require.NoError(t, alive.close())
	require.NoDirExists(t, alive.dir)
	info, err := os.Stat(third.dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(ownerOnly), info.Mode().Perm())
}
