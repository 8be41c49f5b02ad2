package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Enforcements keeps the decisions that an action must run, and their places in the queues.
type Enforcements struct{ db *DB }

// NewEnforcements returns the enforcements of a database.
func NewEnforcements(db *DB) *Enforcements { return &Enforcements{db: db} }

// enforcementSelect takes the author of a direct run from its event: what a rule decides has none.
const enforcementSelect = `
SELECT e.id, e.event_id, COALESCE(r.ref, ''), a.ref, e.action_id, e.parameters, e.status, e.reason, e.detail,
	COALESCE(q.key, ''), e.lane, COALESCE(e.sequence, 0), COALESCE(e.grant_number, 0),
	` + authorColumns + `, e.created_at, e.queued_at, e.granted_at, e.finished_at
FROM enforcements e JOIN actions a ON a.id = e.action_id LEFT JOIN rules r ON r.id = e.rule_id
	LEFT JOIN queues q ON q.id = e.queue_id LEFT JOIN events ev ON ev.id = e.event_id AND e.rule_id IS NULL`

const enforcementSQL = enforcementSelect + ` WHERE e.id = $1`

// Get returns an enforcement, or [attune.CodeNotFound].
func (e *Enforcements) Get(ctx context.Context, id attune.EnforcementID) (attune.Enforcement, error) {
	enforcement, err := one(ctx, e.db.pool, scanEnforcement, enforcementSQL, id)
	return enforcement, wrap("read enforcement", found(err, "enforcement %d does not exist", id))
}

const listEnforcementsSQL = enforcementSelect + `
WHERE ($1::bigint = 0 OR e.id < $1)
	AND ($3::bigint = 0 OR e.event_id = $3)
	AND ($4::text = '' OR e.rule_id = (SELECT id FROM rules WHERE ref = $4))
	AND ($5::text = '' OR e.action_id = (SELECT id FROM actions WHERE ref = $5))
	AND ($6::text = '' OR e.queue_id = (SELECT id FROM queues WHERE key = $6))
	AND ($7::text = '' OR e.status = $7)
	AND ($8::text = '' OR e.reason = $8)
ORDER BY e.id DESC LIMIT $2::bigint`

// List returns a page of enforcements.
func (e *Enforcements) List(
	ctx context.Context, filter attune.EnforcementFilter, page attune.Page,
) ([]attune.Enforcement, error) {
	return list(ctx, e.db, "list enforcements", page, scanEnforcement, listEnforcementsSQL,
		filter.Event, filter.Rule, filter.Action, filter.Queue, filter.Status, filter.Reason)
}

func scanEnforcement(row pgx.CollectableRow) (attune.Enforcement, error) {
	var e attune.Enforcement
	var author authorValues
	err := row.Scan(&e.ID, &e.Event, &e.Rule, &e.Action, &e.ActionID, &e.Parameters, &e.Status, &e.Reason, &e.Detail,
		&e.Queue, &e.Lane, &e.Sequence, &e.GrantNumber, &author.principal, &author.method, &author.onBehalfOf, &author.note,
		&e.CreatedAt, &e.QueuedAt, &e.GrantedAt, &e.FinishedAt)
	e.Author = author.author()
	return e, err
}

const positionSQL = `
SELECT CASE WHEN e.status = 'queued' THEN (
	SELECT count(*) FROM enforcements w
	WHERE w.queue_id = e.queue_id AND w.status = 'queued' AND w.sequence <= e.sequence
) ELSE 0 END
FROM enforcements e WHERE e.id = $1`

// Position returns the place of an enforcement in its line: 1 is next, 0 does not wait. An unknown enforcement is
// [attune.CodeNotFound].
func (e *Enforcements) Position(ctx context.Context, id attune.EnforcementID) (int64, error) {
	position, err := one(ctx, e.db.pool, pgx.RowTo[int64], positionSQL, id)
	return position, wrap("read position", found(err, "enforcement %d does not exist", id))
}
