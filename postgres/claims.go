package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// lockExecutionsSQL takes the locks in ascending order, so that claims, renewals and reports cannot deadlock.
const lockExecutionsSQL = `SELECT id FROM executions WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

const claimSQL = `
UPDATE executions x SET status = 'running', worker = u.worker, started_at = clock_timestamp(),
	lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.status = 'requested'
RETURNING x.id`

const claimedSQL = `
SELECT id, attempt, status, worker FROM executions WHERE id = ANY ($1::bigint[])`

// Claim lets workers start executions: each attempt goes to the worker that asks first, in the order of the messages, with a
// lease. The answers come in the same order, and an execution that does not exist is answered with an empty status.
//
// A worker that asks again about the attempt that it runs gets the same answer, and its lease is renewed, unless it has run
// out: then nobody may run the attempt. A lease of 0 or less is [attune.CodeInvalid].
func (x *Executions) Claim(
	ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration,
) ([]attune.ExecutionClaimReply, error) {
	all, first, err := claimedAttempts(claims, lease)
	if err != nil {
		return nil, err
	}
	runs := newRuns()
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsSQL, all.ids)
	batch.Queue(renewSQL, all.ids, all.attempts, all.workers, milliseconds(lease)).Query(runs.scanLeased)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers, milliseconds(lease)).Query(runs.scanLeased)
	batch.Queue(claimedSQL, all.ids).Query(runs.scan)
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionClaimReply, len(claims))
	for i, claim := range claims {
		replies[i] = runs.reply(claim, lease)
	}
	return replies, nil
}

// runs is who runs what, after claims and renewals.
type runs struct {
	standing map[attune.ExecutionID]claimState
	leased   map[attune.ExecutionID]bool // those whose attempt has been given a lease, or more of it
}

func newRuns() *runs {
	return &runs{standing: make(map[attune.ExecutionID]claimState), leased: make(map[attune.ExecutionID]bool)}
}

// claimState is where an execution stands.
type claimState struct {
	attempt int
	status  attune.ExecutionStatus
	worker  string
}

func (r *runs) scan(rows pgx.Rows) error {
	var id attune.ExecutionID
	var s claimState
	_, err := pgx.ForEachRow(rows, []any{&id, &s.attempt, &s.status, &s.worker}, func() error {
		r.standing[id] = s
		return nil
	})
	return err
}

func (r *runs) scanLeased(rows pgx.Rows) error {
	var id attune.ExecutionID
	_, err := pgx.ForEachRow(rows, []any{&id}, func() error {
		r.leased[id] = true
		return nil
	})
	return err
}

// by reports whether the worker may run the attempt. What a lease allows is decided by the statement that renews it: were it
// compared again here, the clock could say something else.
func (r *runs) by(worker string, id attune.AttemptID) bool {
	s := r.standing[id.Execution]
	return s.attempt == id.Attempt && s.worker == worker && r.leased[id.Execution]
}

func (r *runs) reply(claim attune.ExecutionClaimMessage, lease time.Duration) attune.ExecutionClaimReply {
	s := r.standing[claim.Execution]
	reply := attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: claim.Attempt, Status: s.status}
	reply.Granted = r.by(claim.Worker, attune.AttemptID{Execution: claim.Execution, Attempt: claim.Attempt})
	if reply.Granted {
		reply.Lease = attune.Duration(lease)
	}
	return reply
}

// runColumns are attempts and workers as columns.
type runColumns struct {
	ids      []attune.ExecutionID
	attempts []int64
	workers  []string
}

func (c *runColumns) add(id attune.AttemptID, worker string) {
	c.ids = append(c.ids, id.Execution)
	c.attempts = append(c.attempts, int64(id.Attempt))
	c.workers = append(c.workers, worker)
}

// claimedAttempts returns every claim, and the first one of each attempt: a batch may hold several.
func claimedAttempts(claims []attune.ExecutionClaimMessage, lease time.Duration) (all, first runColumns, err error) {
	if err := checkLease(attune.KeyExecutionClaim, lease); err != nil {
		return all, first, err
	}
	seen := make(map[attune.AttemptID]bool, len(claims))
	for _, c := range claims {
		if c.Execution <= 0 || c.Attempt <= 0 || c.Worker == "" {
			return all, first, attune.Errorf(attune.CodeInvalid,
				"%s needs an execution, an attempt and a worker; got %d, %d, %q", c.RoutingKey(), c.Execution, c.Attempt, c.Worker)
		}
		id := attune.AttemptID{Execution: c.Execution, Attempt: c.Attempt}
		all.add(id, c.Worker)
		if !seen[id] {
			seen[id] = true
			first.add(id, c.Worker)
		}
	}
	return all, first, nil
}
