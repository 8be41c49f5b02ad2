package packs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

// load loads the core pack and the folders, and returns the pack of the first folder.
func load(t *testing.T, dirs ...string) (*attune.Pack, error) {
	t.Helper()
	all, err := packs.LoadAll(t.TempDir(), dirs)
	if err != nil {
		require.Nil(t, all)
		return nil, err
	}
	return &all[1], nil
}

// loadCore returns the core pack.
func loadCore(t *testing.T, dataDir string) *attune.Pack {
	t.Helper()
	all, err := packs.LoadAll(dataDir, nil)
	require.NoError(t, err)
	require.Len(t, all, 1)
	return &all[0]
}

// folder writes files below a new folder and returns it. A path that ends in * is executable.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o644)
		if path, executable := strings.CutSuffix(name, "*"); executable {
			name, mode = path, 0o755
		}
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
	}
	return dir
}

// requireProblems compares the problems of an error with the wanted ones, in which dirs names the folders.
func requireProblems(t *testing.T, err error, dirs map[string]string, want ...string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	text := err.Error()
	for name, dir := range dirs {
		text = strings.ReplaceAll(text, dir, name)
	}
	require.Equal(t, strings.Join(want, "\n"), text)
}
