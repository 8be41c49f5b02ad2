package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// lockExecutionsByIDSQL takes the locks in ascending order, so that claims, renewals and reports cannot deadlock.
const lockExecutionsByIDSQL = `SELECT id FROM executions WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

const claimSQL = `
UPDATE executions x SET status = 'running', worker = u.worker, started_at = GREATEST(clock_timestamp(), x.requested_at),
	lease_until = clock_timestamp() + $4::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.status = 'requested'
RETURNING x.id, x.attempt, x.worker`

const statusesSQL = `SELECT id, status FROM executions WHERE id = ANY ($1::bigint[])`

// Claim assigns attempts to workers. Each attempt goes to the first worker that claims it, in the order of claims, with a
// lease. The replies have the order of claims. The reply for an unknown execution has an empty status.
//
// If a worker repeats its claim, Claim renews the lease and gives the same reply. If the lease has expired, the claim is
// refused, and no worker may run the attempt. A lease of 0 or less is [attune.CodeInvalid].
func (x *Executions) Claim(
	ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration,
) ([]attune.ExecutionClaimReply, error) {
	all, first, err := claimedAttempts(claims, lease)
	if err != nil {
		return nil, err
	}
	leased, statuses := make(leaseSet), make(map[attune.ExecutionID]attune.ExecutionStatus)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsByIDSQL, all.ids)
	batch.Queue(renewSQL, all.ids, all.attempts, all.workers, milliseconds(lease)).Query(leased.scan)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers, milliseconds(lease)).Query(leased.scan)
	batch.Queue(statusesSQL, all.ids).Query(func(rows pgx.Rows) error {
		var id attune.ExecutionID
		var status attune.ExecutionStatus
		_, err := pgx.ForEachRow(rows, []any{&id, &status}, func() error {
			statuses[id] = status
			return nil
		})
		return err
	})
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionClaimReply, len(claims))
	for i, claim := range claims {
		replies[i] = attune.ExecutionClaimReply{
			Execution: claim.Execution, Attempt: claim.Attempt, Status: statuses[claim.Execution],
			Granted: leased[workerAttempt{claim.Execution, claim.Attempt, claim.Worker}],
		}
		if replies[i].Granted {
			replies[i].Lease = attune.Duration(lease)
		}
	}
	return replies, nil
}

// workerAttempt is an attempt together with the worker that claims or runs it.
type workerAttempt struct {
	execution attune.ExecutionID
	attempt   int
	worker    string
}

// leaseSet holds the attempts whose lease a statement gave or renewed. Only that statement compares the lease with the clock; a
// later comparison could come to another result.
type leaseSet map[workerAttempt]bool

func (l leaseSet) scan(rows pgx.Rows) error {
	var a workerAttempt
	_, err := pgx.ForEachRow(rows, []any{&a.execution, &a.attempt, &a.worker}, func() error {
		l[a] = true
		return nil
	})
	return err
}

// attemptColumns are attempts and their workers as columns.
type attemptColumns struct {
	ids      []attune.ExecutionID
	attempts []int64
	workers  []string
}

func (c *attemptColumns) add(id attune.AttemptID, worker string) {
	c.ids = append(c.ids, id.Execution)
	c.attempts = append(c.attempts, int64(id.Attempt))
	c.workers = append(c.workers, worker)
}

// claimedAttempts returns all claims, and the first claim of each attempt: a batch can contain several claims of one attempt.
func claimedAttempts(claims []attune.ExecutionClaimMessage, lease time.Duration) (all, first attemptColumns, err error) {
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
