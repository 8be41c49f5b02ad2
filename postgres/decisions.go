package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const generationSQL = `SELECT generation FROM queues WHERE key = $1`

// controlSQL stores mode and override, unless the row already has those of a later change.
const controlSQL = `
UPDATE queues SET mode = $2, override_limit = $3, override_until = $4, last_change = $5,
	freed_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE key = $1 AND last_change < $5`

// insertChangesSQL takes the outcome of a cancel from the row of its enforcement. A row that is granted, or waits in another
// place, shows that the ticket was granted before the cancel.
const insertChangesSQL = `
INSERT INTO queue_changes (queue_id, number, request_id, at, principal, auth_method, on_behalf_of, note, kind, "from", "to",
	enforcement_id, lane)
SELECT ` + queueNamed + `, u.number, u.request_id, u.at, u.principal, u.auth_method, u.on_behalf_of, u.note, u.kind, u."from",
	CASE WHEN e.id IS NULL THEN u."to" WHEN e.status = 'queued' THEN 'granted' ELSE e.status END,
	NULLIF(u.enforcement_id, 0), NULLIF(u.lane, 0)
FROM unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
		$10::text[], $11::text[], $12::bigint[], $13::integer[])
	AS u (number, request_id, at, principal, auth_method, on_behalf_of, note, kind, "from", "to", enforcement_id, lane)
	LEFT JOIN enforcements e ON u.kind = 'cancel' AND e.id = u.enforcement_id
ON CONFLICT (queue_id, request_id) DO NOTHING`

// Record records the decisions of a queue in one transaction: settlements, manual changes, and the mode and override after
// these changes. So the cancel of a ticket is never recorded without its settlement.
//
// Repeated and late calls are harmless. A change whose request is recorded already stays as it is. Mode and override are stored
// only if one of the changes is newer than every recorded change. For an earlier generation of the queue, Record stores
// rejected and expired tickets only: the current generation does not know the changes and cancels of an earlier one.
//
// Record returns the grants of settled tickets that were in fact granted, in the order of their numbers. These tickets keep
// their status. A queue can be changed before its first use. A queue without an action is [attune.CodeNotFound], and invalid
// decisions are [attune.CodeInvalid].
func (q *Queues) Record(ctx context.Context, key attune.QueueKey, decisions attune.QueueDecisions) ([]attune.Grant, error) {
	if err := checkDecisions(key, decisions); err != nil {
		return nil, err
	}
	done, err := q.record(ctx, key, decisions)
	if err != nil {
		return nil, err
	}
	for _, some := range done.settled {
		q.settled(ctx, some.Count, some.Status, some.Reason)
	}
	return done.granted, nil
}

func (q *Queues) record(ctx context.Context, key attune.QueueKey, decisions attune.QueueDecisions) (done settlement, err error) {
	if len(decisions.Control.Changes) == 0 {
		batch := new(pgx.Batch)
		if err := addSettlements(batch, key, decisions.Settlements, &done); err != nil {
			return done, err
		}
		return done, q.db.send(ctx, "record settlements", batch)
	}
	err = q.db.inTx(ctx, "record decisions of queue", func(tx pgx.Tx) error {
		queue, err := lockOrCreateQueue(ctx, tx, key)
		if err != nil {
			return err
		}
		generation, err := one(ctx, tx, pgx.RowTo[int64], generationSQL, key)
		if err != nil {
			return err
		}
		batch := new(pgx.Batch)
		addChangedQueues(batch, queue)
		if queue.policyChanged { // the queue does not learn its policy from Record
			addLeftUntold(batch, []*lockedQueue{queue})
		}
		settlements, late := decisions.Settlements, generation > decisions.Control.Generation
		if late {
			settlements = withoutCancels(settlements)
		}
		if err := addSettlements(batch, key, settlements, &done); err != nil {
			return err
		}
		if !late {
			addControl(batch, key, decisions.Control)
		}
		return tx.SendBatch(ctx, batch).Close()
	})
	return done, err
}

func withoutCancels(settlements []attune.Settlement) []attune.Settlement {
	return slices.DeleteFunc(slices.Clone(settlements), func(s attune.Settlement) bool {
		return s.Status == attune.EnforcementCancelled
	})
}

func checkDecisions(key attune.QueueKey, decisions attune.QueueDecisions) error {
	if err := checkSettlements(key, decisions.Settlements); err != nil {
		return err
	}
	if len(decisions.Control.Changes) == 0 {
		return nil
	}
	if err := checkControl(decisions.Control); err != nil {
		return fmt.Errorf("record changes of queue %q: %w", key, err)
	}
	return nil
}

func checkControl(control attune.QueueControl) error {
	if err := control.Mode.Validate(); err != nil {
		return err
	}
	if err := control.Override.Validate(); err != nil {
		return err
	}
	for _, change := range control.Changes {
		if err := checkChange(change); err != nil {
			return fmt.Errorf("change %d: %w", change.Number, err)
		}
	}
	for _, lane := range control.Lanes {
		if err := lane.Override.Validate(); err != nil {
			return fmt.Errorf("lane %d: %w", lane.Lane, err)
		}
	}
	return nil
}

func checkChange(c attune.QueueChange) error {
	switch {
	case c.Number < 1:
		return attune.Errorf(attune.CodeInvalid, "changes are numbered from 1")
	case c.Request == "":
		return attune.Errorf(attune.CodeInvalid, "the id of its request is missing")
	case (c.Kind == attune.ChangeLaneLimit) != (c.Lane > 0):
		return attune.Errorf(attune.CodeInvalid, "a change of the kind %q names lane %d", c.Kind, c.Lane)
	}
	if err := c.Kind.Validate(); err != nil {
		return err
	}
	return c.Author.Validate()
}

// addControl stores changes, mode and override of a locked queue.
func addControl(batch *pgx.Batch, key attune.QueueKey, control attune.QueueControl) {
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
	batch.Queue(insertChangesSQL, key, columns.numbers, columns.requests, columns.times, columns.principals, columns.methods,
		columns.onBehalfOf, columns.notes, columns.kinds, columns.from, columns.to, columns.enforcements, columns.lanes)
	batch.Queue(controlSQL, key, control.Mode, limit, until, newest)
	addLaneControls(batch, key, control.Lanes)
}

// changeColumns are changes as columns.
type changeColumns struct {
	numbers                []int64
	requests               []string
	times                  []time.Time
	principals, onBehalfOf []string
	methods                []attune.AuthMethod
	notes, from, to        []string
	kinds                  []attune.QueueChangeKind
	enforcements           []attune.EnforcementID
	lanes                  []int32
}

func (c *changeColumns) add(change attune.QueueChange) {
	c.numbers = append(c.numbers, change.Number)
	c.requests = append(c.requests, change.Request)
	c.times = append(c.times, change.At)
	c.principals = append(c.principals, change.Principal.Name)
	c.methods = append(c.methods, change.Principal.Method)
	c.onBehalfOf = append(c.onBehalfOf, change.OnBehalfOf)
	c.notes = append(c.notes, change.Note)
	c.kinds = append(c.kinds, change.Kind)
	c.from = append(c.from, change.From)
	c.to = append(c.to, change.To)
	c.enforcements = append(c.enforcements, change.Enforcement)
	c.lanes = append(c.lanes, change.Lane)
}

const changesSQL = `
SELECT c.number, c.request_id, c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c.kind, c."from", c."to",
	COALESCE(c.enforcement_id, 0), COALESCE(c.lane, 0)
FROM queue_changes c WHERE c.queue_id = (SELECT id FROM queues WHERE key = $3) AND ($1::bigint = 0 OR c.number < $1)
ORDER BY c.number DESC LIMIT $2::bigint`

// Changes returns a page of the manual changes of a queue, newest first, paged by the number of the change.
func (q *Queues) Changes(ctx context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error) {
	return list(ctx, q.db, "list changes of queue", page, scanChange, changesSQL, key)
}

func scanChange(row pgx.CollectableRow) (attune.QueueChange, error) {
	var c attune.QueueChange
	err := row.Scan(&c.Number, &c.Request, &c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.Kind, &c.From, &c.To,
		&c.Enforcement, &c.Lane)
	return c, err
}
