package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const installationSQL = `SELECT id::text, watermark FROM installation`

// Installation returns the identity of the database.
func (db *DB) Installation(ctx context.Context) (attune.Installation, error) {
	installation, err := one(ctx, db.pool, pgx.RowToStructByPos[attune.Installation], installationSQL)
	return installation, wrap("read the installation", err)
}

const raiseWatermarkSQL = `UPDATE installation SET watermark = watermark + 1 WHERE id = $1::uuid RETURNING watermark`

// RaiseWatermark raises the watermark of an installation by 1 and returns it. It is [attune.CodeConflict] if the database belongs
// to another installation.
func (db *DB) RaiseWatermark(ctx context.Context, id attune.InstallationID) (int64, error) {
	watermark, err := one(ctx, db.pool, pgx.RowTo[int64], raiseWatermarkSQL, id)
	if errors.Is(err, pgx.ErrNoRows) {
		err = attune.Errorf(attune.CodeConflict, "the database belongs to another installation than %s", id)
	}
	return watermark, wrap("raise the watermark", err)
}

const renewInstallationSQL = `
UPDATE installation SET id = gen_random_uuid(), watermark = 0 WHERE id = $1::uuid`

// RenewInstallation makes the database a new installation and returns it. If another process has renewed the installation old
// before, RenewInstallation returns the result of that process.
func (db *DB) RenewInstallation(ctx context.Context, old attune.InstallationID) (attune.Installation, error) {
	if _, err := db.pool.Exec(ctx, renewInstallationSQL, old); err != nil {
		return attune.Installation{}, wrap("renew the installation", err)
	}
	return db.Installation(ctx)
}
