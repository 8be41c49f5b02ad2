package postgres

import (
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// This file has the parts of statements that several files use, with the functions that read their columns.

// queueNamed selects the id of the queue whose key is the first parameter of a statement.
const queueNamed = `(SELECT id FROM queues WHERE key = $1)`

// nextAttempt is the attempt that a waiting enforcement waits for: 0 for the first one, which has no execution yet. It needs
// the execution as x.
const nextAttempt = `COALESCE(x.attempt + 1, 0)`

// selectTickets reads the tickets of enforcements, with the attempt that each waits for. scanTicket reads its columns.
const selectTickets = `
SELECT e.id, e.action_id, e.sequence, e.lane, e.queued_at, ` + nextAttempt + `
FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id`

func scanTicket(row pgx.CollectableRow) (attune.Ticket, error) {
	var t attune.Ticket
	err := row.Scan(&t.Enforcement, &t.Action, &t.Sequence, &t.Lane, &t.EnqueuedAt, &t.Attempt)
	return t, err
}

// actionColumns are the columns of action a, without its policy. scanAction reads them.
const actionColumns = `a.id, a.ref, a.description, a.enabled, a.command, a.env, a.secrets, a.schema, a.timeout_ms, a.pool,
	a.memory, a.processes`

// scanAction reads a row with columns of its own around actionColumns.
func scanAction(row pgx.CollectableRow, a *attune.Action, before, after []any) error {
	var timeoutMS int64
	columns := []any{
		&a.ID, &a.Ref, &a.Description, &a.Enabled, &a.Command, &a.Env, &a.Secrets, &a.Schema, &timeoutMS, &a.Pool,
		&a.Limits.Memory, &a.Limits.Processes,
	}
	err := row.Scan(slices.Concat(before, columns, after)...)
	a.Timeout = time.Duration(timeoutMS) * time.Millisecond
	return err
}

// overrideInForce is the manual limit of queue q, or NULL if there is none or it has expired.
const overrideInForce = `
	CASE WHEN q.override_until IS NULL OR q.override_until > clock_timestamp() THEN q.override_limit END`

// overrideOf returns the manual limit from its columns, or nil.
func overrideOf(limit *int, until *time.Time) *attune.LimitOverride {
	if limit == nil {
		return nil
	}
	override := &attune.LimitOverride{Limit: *limit}
	if until != nil {
		override.Until = *until
	}
	return override
}

// selectHolders reads enforcements with an execution and their grants. If the execution waits for its next attempt, the grant
// names that attempt.
const selectHolders = `
SELECT e.id, e.action_id, e.sequence, e.lane, e.queued_at, e.grant_number,
	CASE WHEN x.status = 'retrying' THEN x.attempt + 1 ELSE x.attempt END, e.granted_at, x.retry_at,
	COALESCE(g.concurrency_limit, 0), COALESCE(g.policy_revision, 0), NULLIF(g.freed, '{}'), COALESCE(g.changes, 0)
FROM enforcements e JOIN executions x ON x.enforcement_id = e.id
	LEFT JOIN grants g ON g.queue_id = e.queue_id AND g.number = e.grant_number`

func scanHolder(row pgx.CollectableRow) (attune.Grant, error) {
	var g attune.Grant
	var notBefore *time.Time
	err := row.Scan(&g.Enforcement, &g.Action, &g.Sequence, &g.Lane, &g.EnqueuedAt, &g.Number, &g.Attempt, &g.GrantedAt, &notBefore,
		&g.Limit, &g.Revision, &g.Freed, &g.Changes)
	if notBefore != nil {
		g.NotBefore = *notBefore
	}
	return g, err
}

// authorColumns are the columns of authorValues; they need the event as ev.
const authorColumns = `ev.principal, ev.auth_method, ev.on_behalf_of, ev.note`
