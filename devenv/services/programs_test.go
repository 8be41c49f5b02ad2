package services

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// install creates empty programs in root.
func install(t *testing.T, root string, programs ...string) {
	t.Helper()
	for _, program := range programs {
		path := filepath.Join(root, program)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o755))
	}
}

func TestFindPostgres(t *testing.T) {
	for _, tt := range []struct {
		name        string
		installed   []string
		path        string // the folder on PATH, below the root
		dataVersion string
		want        string // the folder, below the root
	}{
		{"the newest version is found", []string{"9/bin/initdb", "9/bin/postgres", "16/bin/initdb", "16/bin/postgres"}, "none", "", "16/bin"},
		{"the version on PATH comes before Debian's", []string{"16/bin/initdb", "16/bin/postgres", "mine/initdb", "mine/postgres"}, "mine", "", "mine"},
		{"the version of the data comes first", []string{
			"15/bin/initdb", "15/bin/postgres", "16/bin/initdb", "16/bin/postgres", "mine/initdb", "mine/postgres",
		}, "mine", "15", "15/bin"},
		{"a version without initdb is skipped", []string{"16/bin/postgres", "15/bin/initdb", "15/bin/postgres"}, "none", "", "15/bin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			install(t, root, tt.installed...)
			t.Setenv("PATH", filepath.Join(root, tt.path))
			found, err := findPostgres(root, tt.dataVersion)
			require.NoError(t, err)
			require.Equal(t, filepath.Join(root, tt.want, "postgres"), found.postgres)
			require.Equal(t, filepath.Join(root, tt.want, "initdb"), found.initdb)
		})
	}

	t.Run("a link on PATH is followed", func(t *testing.T) {
		root := t.TempDir()
		install(t, root, "15/bin/initdb", "15/bin/postgres")
		require.NoError(t, os.Mkdir(filepath.Join(root, "local"), 0o755))
		require.NoError(t, os.Symlink(filepath.Join(root, "15/bin/postgres"), filepath.Join(root, "local/postgres")))
		t.Setenv("PATH", filepath.Join(root, "local"))
		found, err := findPostgres(t.TempDir(), "")
		require.NoError(t, err)
		require.Equal(t, filepath.Join(root, "15/bin/initdb"), found.initdb)
	})
}

func TestMissingPrograms(t *testing.T) {
	nowhere := t.TempDir()
	t.Setenv("PATH", nowhere)

	_, err := findPostgres(nowhere, "")
	require.ErrorContains(t, err, "PostgreSQL cannot start")
	require.ErrorContains(t, err, "run: make deps (Debian package postgresql)")

	_, err = findRabbitMQ(filepath.Join(nowhere, "rabbitmq-server"))
	require.ErrorContains(t, err, "RabbitMQ cannot start")
	require.ErrorContains(t, err, "run: make deps (Debian package rabbitmq-server)")

	_, err = StartTemporal(t.Context(), TemporalConfig{Dir: nowhere, Binary: filepath.Join(nowhere, "none")})
	require.ErrorContains(t, err, "Temporal cannot start")
	require.ErrorContains(t, err, `run "make deps"`)

	t.Setenv("ATTUNE_TEMPORAL_BIN", filepath.Join(nowhere, "none"))
	_, err = FindTemporal(t.Context(), nil)
	require.ErrorContains(t, err, "which ATTUNE_TEMPORAL_BIN names")
}

func TestFindTemporal(t *testing.T) {
	t.Setenv("ATTUNE_TEMPORAL_BIN", "")
	root := t.TempDir()
	tree, programs := filepath.Join(root, "tree"), filepath.Join(root, "programs")
	require.NoError(t, os.MkdirAll(filepath.Join(tree, "deep"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(tree, "go.mod"), []byte("module "+modulePath+"\n\ngo 1.26.0\n"), 0o644))
	t.Chdir(filepath.Join(tree, "deep"))
	t.Setenv("PATH", programs)

	for _, installed := range []string{"programs/temporal", "tree/bin/attune-temporal", "programs/attune-temporal"} {
		install(t, root, installed) // each one precedes the earlier ones
		found, err := FindTemporal(t.Context(), nil)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(root, installed), found)
	}
}

// TestFindTemporalBeside runs copies of this program, which print the result of FindTemporal, in folders where only the
// copy's own place leads to the server.
func TestFindTemporalBeside(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	program := filepath.Join(root, "installed", "attune")
	require.NoError(t, os.MkdirAll(filepath.Dir(program), 0o755))
	data, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, data, 0o755))
	for _, link := range []string{"links/attune", "both/attune"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, link)), 0o755))
		require.NoError(t, os.Symlink(program, filepath.Join(root, link)))
	}
	// find runs a copy in another folder.
	find := func(t *testing.T, program string) string {
		t.Helper()
		cmd := exec.Command(program)
		cmd.Dir, cmd.Env = t.TempDir(), []string{finderVariable + "=yes", "PATH=" + filepath.Join(root, "nothing")}
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", output)
		return string(output)
	}

	message := find(t, filepath.Join(root, "links", "attune"))
	require.Contains(t, message, "attune-temporal not found")
	for _, place := range []string{
		strconv.Quote(filepath.Join(root, "links")), strconv.Quote(filepath.Join(root, "installed")), "PATH", "source tree",
		"ATTUNE_TEMPORAL_BIN",
	} {
		require.Contains(t, message, place)
	}

	install(t, root, "installed/attune-temporal", "both/attune-temporal")
	for started, found := range map[string]string{"installed": "installed", "links": "installed", "both": "both"} {
		require.Equal(t, filepath.Join(root, found, "attune-temporal"), find(t, filepath.Join(root, started, "attune")),
			"started in %q", started)
	}
}
