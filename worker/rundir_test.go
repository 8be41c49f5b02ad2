package worker

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
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

// TestRemoveFolder removes what an action can leave in its run folder.
func TestRemoveFolder(t *testing.T) {
	t.Parallel()

	t.Run("a folder that is nested deeper than a path may be long and most processes may open files", func(t *testing.T) {
		t.Parallel()
		const levels = 3000
		dir := filepath.Join(t.TempDir(), "run")
		require.NoError(t, os.Mkdir(dir, 0o700))
		at, err := os.OpenRoot(dir)
		require.NoError(t, err)
		for i := range levels {
			require.NoError(t, at.Mkdir("folder", 0o700))
			if i%1000 == 0 {
				require.NoError(t, at.WriteFile("file", nil, 0o400))
				require.NoError(t, at.Mkdir("empty", 0))
				require.NoError(t, at.Symlink(filepath.Dir(dir), "link"))
			}
			below, err := at.OpenRoot("folder")
			require.NoError(t, err)
			require.NoError(t, at.Close())
			at = below
		}
		require.NoError(t, at.Close())
		require.NoError(t, removeFolder(dir, nil))
		require.NoDirExists(t, dir)
	})

	t.Run("a link in the place of the folder, and links in it, without what they point to", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		kept := filepath.Join(root, "kept", "file")
		require.NoError(t, os.MkdirAll(filepath.Dir(kept), 0o700))
		require.NoError(t, os.WriteFile(kept, nil, 0o600))
		dir := filepath.Join(root, "run")
		require.NoError(t, os.Symlink(filepath.Dir(kept), dir))
		require.NoError(t, removeFolder(dir, nil))
		require.NoFileExists(t, dir)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "folder"), 0o700))
		require.NoError(t, os.Symlink(filepath.Dir(kept), filepath.Join(dir, "folder", "link")))
		require.NoError(t, removeFolder(dir, nil))
		require.NoDirExists(t, dir)
		require.FileExists(t, kept)
	})

	t.Run("a folder with many files and closed folders", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "run")
		for i := range 3 {
			below := filepath.Join(dir, "folder"+strconv.Itoa(i), "below")
			require.NoError(t, os.MkdirAll(below, 0o700))
			for j := range 1500 {
				require.NoError(t, os.WriteFile(filepath.Join(below, strconv.Itoa(j)), nil, 0))
			}
			require.NoError(t, os.Chmod(below, 0))
			require.NoError(t, os.Chmod(filepath.Dir(below), 0o500))
		}
		require.NoError(t, os.Chmod(dir, 0))
		require.NoError(t, removeFolder(dir, nil))
		require.NoDirExists(t, dir)
		require.NoError(t, removeFolder(dir, nil), "a folder that does not exist")
	})
}
