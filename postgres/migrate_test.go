package postgres_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMigrationsAreComplete makes sure that no file is left out for its name.
func TestMigrationsAreComplete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.EqualValues(t, len(files), b.count(t, `SELECT max(version_id) FROM goose_db_version`))
}
