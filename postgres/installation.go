package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const installationSQL = `SELECT id::text, watermark FROM installation`

// Installation returns the identity of the database.
func (db *DB) Installation(ctx context.Context) (attune.Installation, error) {
	installation, err := one(ctx, db.pool, pgx.RowToStructByPos[attune.Installation], installationSQL)
	return installation, wrap("read the installation", err)
}

const raiseWatermarkSQL = `
UPDATE installation SET watermark = $2::bigint + 1 WHERE id = $1::uuid AND watermark IN ($2::bigint, $2::bigint + 1)
RETURNING watermark`

// RaiseWatermark raises the watermark of an installation to remembered + 1, and returns the watermark of the database. remembered is
// the watermark that Temporal remembers. A higher watermark stays: another process has raised it.
//
// A lower watermark also stays, so that every process can see it. It is [attune.CodeConflict]: the database was restored to an earlier
// time. A database of another installation is [attune.CodeConflict], too.
func (db *DB) RaiseWatermark(ctx context.Context, id attune.InstallationID, remembered int64) (int64, error) {
	watermark, err := one(ctx, db.pool, pgx.RowTo[int64], raiseWatermarkSQL, id, remembered)
	if !errors.Is(err, pgx.ErrNoRows) {
		return watermark, wrap("raise the watermark", err)
	}
	current, err := db.Installation(ctx)
	switch {
	case err != nil:
		return 0, err
	case current.ID != id:
		return 0, attune.Errorf(attune.CodeConflict, "the database belongs to installation %s, and this process to %s", current.ID, id)
	case current.Watermark < remembered:
		return 0, attune.Errorf(attune.CodeConflict, "the database was restored to an earlier time: its watermark is %d, after %d",
			current.Watermark, remembered)
	default:
		return current.Watermark, nil
	}
}

// takeoverLock is the advisory lock of the process that takes a namespace of Temporal for the installation.
const takeoverLock int64 = 0x61747475_6e650004

// exclusiveTimeout is when the server ends the session of a process that does not finish its turn.
const exclusiveTimeout = 15 * time.Minute

// Exclusively calls do while no other process of the database is in it. It waits for its turn until ctx ends. do must return within
// 15 minutes.
func (db *DB) Exclusively(ctx context.Context, do func(context.Context) error) error {
	sessions := NewOutbox(db)
	conn, err := sessions.session(ctx, exclusiveTimeout)
	if err != nil {
		return err
	}
	defer sessions.disconnect(ctx, conn)
	err = sessions.untilAcquired(ctx, func() (bool, error) {
		return one(ctx, conn, pgx.RowTo[bool], tryLeadSQL, takeoverLock)
	})
	if err != nil {
		return wrap("wait for the turn of this process", err)
	}
	return do(ctx)
}

const renewInstallationSQL = `
UPDATE installation SET id = gen_random_uuid(), watermark = 0 WHERE id = $1::uuid`

// RenewInstallation makes a restored database a new installation and returns it. If another process has already renewed the
// installation old, RenewInstallation returns the result of that process.
//
// The messages that the old installation published may be lost, and its requests for executions are void. So the outbox gets a
// new message for every enforcement that waits for its admission and for every execution that waits for a worker. The leases of
// running executions expire: their workers get no renewal from the new installation.
func (db *DB) RenewInstallation(ctx context.Context, old attune.InstallationID) (attune.Installation, error) {
	err := db.inTx(ctx, "renew the installation", func(tx pgx.Tx) error {
		if renewed, err := tx.Exec(ctx, renewInstallationSQL, old); err != nil || renewed.RowsAffected() == 0 {
			return err
		}
		return repost(ctx, tx)
	})
	if err != nil {
		return attune.Installation{}, err
	}
	return db.Installation(ctx)
}

const (
	clearOutboxSQL = `DELETE FROM outbox`

	createdSQL = `SELECT id FROM enforcements WHERE status = 'created' ORDER BY id`

	requestedSQL = requestsSQL + ` WHERE x.status = 'requested' ORDER BY x.id`
)

// repost fills the outbox with the messages that the rows still need.
func repost(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, clearOutboxSQL); err != nil {
		return err
	}
	created, err := collect(ctx, tx, pgx.RowTo[attune.EnforcementID], createdSQL)
	if err != nil {
		return err
	}
	requested, err := collect(ctx, tx, scanRequest, requestedSQL)
	if err != nil {
		return err
	}
	messages := make([]attune.Message, 0, len(created)+len(requested))
	for _, id := range created {
		messages = append(messages, attune.EnforcementCreatedMessage{Enforcement: id})
	}
	return post(ctx, tx, append(messages, requested...)...)
}

func scanRequest(row pgx.CollectableRow) (attune.Message, error) {
	var state requestState
	err := state.scan(row)
	return state.message, err
}
