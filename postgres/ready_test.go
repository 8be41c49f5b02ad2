package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestDB_Ready(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change string
		code   attune.Code
		reason string
	}{
		"a database without its tables is not ready": {`DROP SCHEMA public CASCADE`, attune.CodeUnavailable, "the database has no attune tables"},
		"a database without the tables of an installation is not ready": {`DROP TABLE installation`, attune.CodeUnavailable,
			"the database has no attune tables"},
		"an emptied database is not ready": {`TRUNCATE installation`, attune.CodeUnavailable, "the database was emptied: restore a backup"},
		"a database whose tables are too old is not ready": {`DELETE FROM goose_db_version WHERE version_id > 2`, attune.CodeUnavailable,
			"the tables are of version 2, and this attune needs"},
		"a database without migrations is not ready": {`TRUNCATE goose_db_version`, attune.CodeUnavailable, "the tables are of version 0"},
		"the database of another installation is not ready": {`UPDATE installation SET id = gen_random_uuid()`, attune.CodeConflict,
			"the database belongs to another installation"},
		"a database with newer tables is ready": {`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, true)`, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			installation, err := b.db.Installation(t.Context())
			require.NoError(t, err)
			require.NoError(t, b.db.Ready(t.Context(), installation.ID))
			b.exec(t, tt.change)
			err = b.db.Ready(t.Context(), installation.ID)
			if tt.reason == "" {
				require.NoError(t, err)
				return
			}
			requireCode(t, tt.code, err, tt.reason)
		})
	}
}
