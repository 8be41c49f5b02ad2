package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const installationSQL = `SELECT id::text FROM installation`

// Installation says which installation of attune the database is.
func (db *DB) Installation(ctx context.Context) (attune.InstallationID, error) {
	id, err := one(ctx, db.pool, pgx.RowTo[attune.InstallationID], installationSQL)
	return id, wrap("read the installation", err)
}
