package postgres_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMigrationsAreComplete checks that the name of every file makes it a migration.
func TestMigrationsAreComplete(t *testing.T) {
	t.Parallel()
	b := setup(t)
	files, err := filepath.Glob("migrations/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.EqualValues(t, len(files), b.count(t, `SELECT max(version_id) FROM goose_db_version`))
}

func TestDB_Schema(t *testing.T) {
	t.Parallel()
	b := setup(t)
	schema, err := b.db.Schema(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, schema.Server)
	require.Positive(t, schema.Newest)
	require.Equal(t, schema.Newest, schema.Version)

	b.exec(t, `DELETE FROM goose_db_version WHERE version_id = $1`, schema.Newest)
	schema, err = b.db.Schema(t.Context())
	require.NoError(t, err)
	require.Less(t, schema.Version, schema.Newest)
}
