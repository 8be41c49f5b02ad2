package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// readySQL returns one row also for empty tables.
const readySQL = `
SELECT COALESCE((SELECT max(version_id) FROM goose_db_version WHERE is_applied), 0),
	COALESCE((SELECT min(id::text) FROM installation), '')`

// Ready returns an error unless the database replies, has the tables that this program needs and belongs to an installation. It
// accepts tables of a newer version: processes of two versions run side by side during an upgrade. Ready runs one small statement.
//
// A database of another installation is an [attune.CodeConflict] error, any other reason is [attune.CodeUnavailable].
func (db *DB) Ready(ctx context.Context, id attune.InstallationID) error {
	type state struct {
		Version      int64
		Installation attune.InstallationID
	}
	found, err := one(ctx, db.pool, pgx.RowToStructByPos[state], readySQL)
	if err != nil {
		return wrap("check that the database is ready", err)
	}
	newest, err := newestMigration()
	switch {
	case err != nil:
		return err
	case found.Version < newest:
		return attune.Errorf(attune.CodeUnavailable, "the tables are of version %d, and this attune needs %d: run attune migrate",
			found.Version, newest)
	case found.Installation == "":
		return attune.Errorf(attune.CodeUnavailable, "the database was emptied: restore a backup, or drop its tables, and restart attune")
	case found.Installation != id:
		return attune.Errorf(attune.CodeConflict, "the database belongs to another installation than this process: restart attune")
	default:
		return nil
	}
}
