package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// overrideInForce is the limit of queue q that was set by hand, or NULL when there is none or it has run out.
const overrideInForce = `
	CASE WHEN q.override_until IS NULL OR q.override_until > clock_timestamp() THEN q.override_limit END`

const generationSQL = `SELECT generation FROM queues WHERE key = $1`

// controlSQL lets an older report never replace a newer one.
const controlSQL = `
UPDATE queues SET mode = $2, override_limit = $3, override_until = $4, last_change = $5,
	freed_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE key = $1 AND last_change < $5`

const insertChangesSQL = `
INSERT INTO queue_changes (queue_id, number, at, principal, auth_method, on_behalf_of, note, kind, "from", "to", enforcement_id)
SELECT (SELECT id FROM queues WHERE key = $1), u.number, u.at, u.principal, u.auth_method, u.on_behalf_of, u.note, u.kind, u."from", u."to",
	NULLIF(u.enforcement_id, 0)
FROM unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
	$11::bigint[])
	AS u (number, at, principal, auth_method, on_behalf_of, note, kind, "from", "to", enforcement_id)
ON CONFLICT (queue_id, number) DO NOTHING`

// RecordControl records, in one transaction, how a queue is set by hand and the changes that led there. A change that is
// recorded already stays as it is, and mode and override are taken over only if one of the changes is newer than every
// change recorded before: repeated and late calls do no harm. Without changes there is nothing to record, and nothing is
// recorded for a generation of the queue that is gone: the one that followed does not know of it.
//
// A queue may be set before its first use. One that belongs to no action is [attune.CodeNotFound], and a control that
// says what a queue cannot be is [attune.CodeInvalid].
func (q *Queues) RecordControl(ctx context.Context, key attune.QueueKey, control attune.QueueControl) error {
	if len(control.Changes) == 0 {
		return nil
	}
	if err := checkControl(control); err != nil {
		return fmt.Errorf("record control of queue %q: %w", key, err)
	}
	return q.db.inTx(ctx, "record control of queue", func(tx pgx.Tx) error {
		lines, err := openLine(ctx, tx, key)
		if err != nil {
			return err
		}
		generation, err := one(ctx, tx, pgx.RowTo[int64], generationSQL, key)
		if err != nil || generation > control.Generation {
			return err
		}
		batch := new(pgx.Batch)
		addLines(batch, lines)
		queueControl(batch, key, control)
		return tx.SendBatch(ctx, batch).Close()
	})
}

func checkControl(control attune.QueueControl) error {
	switch control.Mode {
	case attune.QueueOpen, attune.QueuePaused, attune.QueueDraining:
	default:
		return attune.Errorf(attune.CodeInvalid, "mode %q: use %q, %q or %q",
			control.Mode, attune.QueueOpen, attune.QueuePaused, attune.QueueDraining)
	}
	if o := control.Override; o != nil && (o.Limit < 0 || o.Limit > attune.MaxLimit) {
		return attune.Errorf(attune.CodeInvalid, "limit %d: use 0 to %d", o.Limit, attune.MaxLimit)
	}
	for _, change := range control.Changes {
		if err := checkChange(change); err != nil {
			return err
		}
	}
	return nil
}

func checkChange(c attune.QueueChange) error {
	switch {
	case c.Number < 1:
		return attune.Errorf(attune.CodeInvalid, "change %d: changes are numbered from 1", c.Number)
	case c.Kind != attune.ChangeMode && c.Kind != attune.ChangeLimit && c.Kind != attune.ChangeCancel:
		return attune.Errorf(attune.CodeInvalid, "change %d: kind %q: use %q, %q or %q",
			c.Number, c.Kind, attune.ChangeMode, attune.ChangeLimit, attune.ChangeCancel)
	}
	if err := c.Author.Validate(); err != nil {
		return fmt.Errorf("change %d: %w", c.Number, err)
	}
	return nil
}

// queueControl stores the control of a queue that is locked.
func queueControl(batch *pgx.Batch, key attune.QueueKey, control attune.QueueControl) {
	var columns changeColumns
	var newest int64
	for _, change := range control.Changes {
		columns.add(change)
		newest = max(newest, change.Number)
	}
	var limit *int
	var until *time.Time
	if o := control.Override; o != nil {
		limit, until = &o.Limit, orNullTime(o.Until)
	}
	batch.Queue(insertChangesSQL, key, columns.numbers, columns.times, columns.principals, columns.methods, columns.onBehalfOf,
		columns.notes, columns.kinds, columns.from, columns.to, columns.enforcements)
	batch.Queue(controlSQL, key, control.Mode, limit, until, newest)
}

// changeColumns are changes as columns.
type changeColumns struct {
	numbers                []int64
	times                  []time.Time
	principals, onBehalfOf []string
	methods                []attune.AuthMethod
	notes, from, to        []string
	kinds                  []attune.QueueChangeKind
	enforcements           []attune.EnforcementID
}

func (c *changeColumns) add(change attune.QueueChange) {
	c.numbers = append(c.numbers, change.Number)
	c.times = append(c.times, change.At)
	c.principals = append(c.principals, change.Principal.Name)
	c.methods = append(c.methods, change.Principal.Method)
	c.onBehalfOf = append(c.onBehalfOf, change.OnBehalfOf)
	c.notes = append(c.notes, change.Note)
	c.kinds = append(c.kinds, change.Kind)
	c.from = append(c.from, change.From)
	c.to = append(c.to, change.To)
	c.enforcements = append(c.enforcements, change.Enforcement)
}

const changesSQL = `
SELECT c.number, c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c.kind, c."from", c."to", COALESCE(c.enforcement_id, 0)
FROM queue_changes c
WHERE c.queue_id = (SELECT id FROM queues WHERE key = $3) AND ($1::bigint = 0 OR c.number < $1) ORDER BY c.number DESC LIMIT $2::bigint`

// Changes returns a page of what people did to a queue by hand, newest first. Pages go by the number of the change.
func (q *Queues) Changes(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error) {
	return list(ctx, q.db, "list changes of queue", page, scanChange, changesSQL, key)
}

func scanChange(row pgx.CollectableRow) (attune.QueueChange, error) {
	var c attune.QueueChange
	err := row.Scan(&c.Number, &c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.Kind, &c.From, &c.To,
		&c.Enforcement)
	return c, err
}
