package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/replay"
)

// historySlack is how long before a period rows can still concern what the queue knew in it: see [replay.History.Cut].
const historySlack = 15 * time.Minute

// historyGrantsSQL reads the grants that concern a period: those since the slack before it, and earlier ones whose slots were held
// then. Numbers rise with the times of the queue's clock, so the first number is found from the newest one backwards.
const historyGrantsSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1
), before AS (
	SELECT COALESCE((SELECT g.number FROM grants g WHERE g.queue_id = q.id AND g.granted_at < $2 ORDER BY g.number DESC LIMIT 1), 0)
		AS number FROM queue q
), last AS (
	SELECT COALESCE(max(g.number), 0) AS number FROM queue q, before b, grants g
	WHERE g.queue_id = q.id AND g.number > b.number AND g.queued_at < $3
)
SELECT g.enforcement_id, e.action_id, g.sequence, g.lane, g.queued_at, g.attempt, g.generation, g.number, g.granted_at,
	g.concurrency_limit, g.policy_revision, NULLIF(g.freed, '{}'), g.changes, g.requested_at, g.released_at, ''
FROM queue q, before b, last l, grants g JOIN enforcements e ON e.id = g.enforcement_id
WHERE g.queue_id = q.id AND (g.number > b.number AND g.number <= l.number
	OR g.number <= b.number AND g.released_at > $2
	OR g.number IN (SELECT h.grant_number FROM enforcements h WHERE h.queue_id = q.id AND h.status = 'granted'))
ORDER BY g.number LIMIT $4`

// historyUngrantedSQL reads the places without a grant: they wait, or left the line in the period or later. A place that waited when
// the period began is at most a full line in front of the first arrival.
const historyUngrantedSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1
), before AS (
	SELECT COALESCE((SELECT e.sequence FROM enforcements e WHERE e.queue_id = q.id AND e.sequence IS NOT NULL AND e.queued_at < $2
		ORDER BY e.sequence DESC LIMIT 1), 0) AS sequence FROM queue q
)
SELECT e.id, e.action_id, e.sequence, e.lane, e.queued_at, COALESCE(x.attempt + 1, 1), e.status, e.reason, e.finished_at
FROM queue q, before b, enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id
WHERE e.queue_id = q.id AND e.sequence > b.sequence - $5 AND e.queued_at < $3 AND e.grant_number IS NULL
	AND (e.finished_at IS NULL OR e.finished_at >= $2)
ORDER BY e.sequence LIMIT $4`

// historyRefusedSQL reads the enforcements that rates and quotas have rejected: they have no place. The index of places has them, too.
const historyRefusedSQL = `
SELECT e.id, e.action_id, 0, 0, e.created_at, 1, e.status, e.reason, e.finished_at
FROM enforcements e WHERE e.queue_id = ` + queueNamed + ` AND e.sequence IS NULL AND e.created_at >= $2 AND e.created_at < $3
	AND e.reason IN ('rate_limited', 'quota_exceeded') ORDER BY e.created_at, e.id LIMIT $4`

const historyPoliciesSQL = `SELECT j.policy, j.at FROM queue_policies j WHERE j.queue_id = ` + queueNamed + ` ORDER BY j.revision`

const historyChangesSQL = `
SELECT c.number, c.request_id, c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c.kind, c."from", c."to",
	COALESCE(c.enforcement_id, 0), COALESCE(c.lane, 0)
FROM queue_changes c WHERE c.queue_id = ` + queueNamed + ` AND (c.at >= $2 OR c.kind <> 'cancel') ORDER BY c.number LIMIT $3`

// History reads what happened in a queue in a period, at one instant. A period with more than most places or changes is
// [attune.CodeInvalid]: a shorter one can be read. A queue that was never used is [attune.CodeNotFound].
func (q *Queues) History(ctx context.Context, key attune.QueueKey, from, to time.Time, most int) (replay.History, error) {
	var read readHistory
	batch := new(pgx.Batch)
	limit, line := most+1, attune.MaxQueuedLimit+attune.MaxLimit
	since := from.Add(-historySlack)
	batch.Queue(historyGrantsSQL, key, since, to, limit).Query(func(rows pgx.Rows) (err error) {
		read.grants, err = pgx.CollectRows(rows, scanLoggedGrant)
		return err
	})
	batch.Queue(historyUngrantedSQL, key, since, to, limit, line).Query(func(rows pgx.Rows) (err error) {
		read.ungranted, err = pgx.CollectRows(rows, scanUngranted)
		return err
	})
	batch.Queue(historyRefusedSQL, key, from, to, limit).Query(func(rows pgx.Rows) (err error) {
		read.refused, err = pgx.CollectRows(rows, scanUngranted)
		return err
	})
	batch.Queue(historyPoliciesSQL, key).Query(func(rows pgx.Rows) (err error) {
		read.policies, err = pgx.CollectRows(rows, scanJournaledPolicy)
		return err
	})
	batch.Queue(historyChangesSQL, key, from, limit).Query(func(rows pgx.Rows) (err error) {
		read.changes, err = pgx.CollectRows(rows, scanChange)
		return err
	})
	atOneInstant := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, q.db.pool, atOneInstant, func(tx pgx.Tx) error { return tx.SendBatch(ctx, batch).Close() })
	switch {
	case err != nil:
		return replay.History{}, wrap("read history of queue", err)
	case len(read.policies) == 0:
		return replay.History{}, attune.Errorf(attune.CodeNotFound, "queue %q was never used", key)
	case len(read.grants)+len(read.ungranted)+len(read.refused) > most, len(read.changes) > most:
		return replay.History{}, attune.Errorf(attune.CodeInvalid,
			"the period has more than %d arrivals or manual changes: choose a shorter one", most)
	}
	return read.history().Cut(from, to), nil
}

// readHistory is the rows of a history.
type readHistory struct {
	grants    []attune.LoggedGrant
	ungranted []replay.Place
	refused   []replay.Place
	policies  []replay.Policy
	changes   []attune.QueueChange
}

// history combines the rows. Each grant has a place of its own: that of the enforcement's row, or a former one.
func (r readHistory) history() replay.History {
	h := replay.History{
		Places: r.ungranted, Refused: r.refused, Grants: r.grants, Changes: r.changes, Policies: r.policies, Mode: attune.QueueOpen,
	}
	for i, grant := range r.grants {
		place := replay.Place{Ticket: grant.Ticket, Grant: &r.grants[i]}
		place.Attempt = 1
		h.Places = append(h.Places, place)
	}
	slices.SortFunc(h.Places, func(a, b replay.Place) int { return a.Compare(b.Ticket) })
	attempts := map[attune.EnforcementID]int{} // the last one of the former places
	for i := range h.Places {
		place := &h.Places[i]
		place.Attempt = max(place.Attempt, attempts[place.Enforcement]+1)
		if place.Grant != nil {
			attempts[place.Enforcement] = place.Grant.Attempt
		}
	}
	return h
}

func scanUngranted(row pgx.CollectableRow) (replay.Place, error) {
	var p replay.Place
	var ended *time.Time
	err := row.Scan(&p.Enforcement, &p.Action, &p.Sequence, &p.Lane, &p.EnqueuedAt, &p.Attempt, &p.Status, &p.Reason, &ended)
	p.EndedAt = orZeroTime(ended)
	if p.Status == attune.EnforcementQueued {
		p.Status = ""
	}
	return p, err
}

func scanJournaledPolicy(row pgx.CollectableRow) (replay.Policy, error) {
	var p replay.Policy
	err := row.Scan(&p.QueuePolicy, &p.At)
	return p, err
}
