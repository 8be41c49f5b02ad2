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
UPDATE executions x SET status = 'running', worker = u.worker, started_at = GREATEST(clock_timestamp(), x.requested_at),
	lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.status = 'requested'
RETURNING x.id, x.attempt, x.worker`

const standingSQL = `SELECT id, status FROM executions WHERE id = ANY ($1::bigint[])`

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
	leased, standing := make(leased), make(map[attune.ExecutionID]attune.ExecutionStatus)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsSQL, all.ids)
	batch.Queue(renewSQL, all.ids, all.attempts, all.workers, milliseconds(lease)).Query(leased.scan)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers, milliseconds(lease)).Query(leased.scan)
	batch.Queue(standingSQL, all.ids).Query(func(rows pgx.Rows) error {
		var id attune.ExecutionID
		var status attune.ExecutionStatus
		_, err := pgx.ForEachRow(rows, []any{&id, &status}, func() error {
			standing[id] = status
			return nil
		})
		return err
	})
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionClaimReply, len(claims))
	for i, claim := range claims {
		id := attune.AttemptID{Execution: claim.Execution, Attempt: claim.Attempt}
		replies[i] = attune.ExecutionClaimReply{
			Execution: claim.Execution, Attempt: claim.Attempt, Status: standing[claim.Execution], Granted: leased[run{id, claim.Worker}],
		}
		if replies[i].Granted {
			replies[i].Lease = attune.Duration(lease)
		}
	}
	return replies, nil
}

// run is a worker that runs an attempt.
type run struct {
	attempt attune.AttemptID
	worker  string
}

// leased are the runs that were given a lease, or more of it. What a lease allows is decided by the statement that gives it: were
// it compared again afterwards, the clock could say something else.
type leased map[run]bool

func (l leased) scan(rows pgx.Rows) error {
	var r run
	_, err := pgx.ForEachRow(rows, []any{&r.attempt.Execution, &r.attempt.Attempt, &r.worker}, func() error {
		l[r] = true
		return nil
	})
	return err
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
		if err := c.Validate(); err != nil {
			return all, first, err
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
