package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// lockExecutionsSQL takes the locks in ascending order, so that claims and reports cannot deadlock.
const lockExecutionsSQL = `SELECT id FROM executions WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

const claimSQL = `
UPDATE executions x SET status = 'running', worker = u.worker, started_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.status = 'requested'`

const claimedSQL = `SELECT id, attempt, status, worker FROM executions WHERE id = ANY ($1::bigint[])`

// Claim lets workers start executions: each attempt goes to the worker that asks first, in the order of the messages.
// The answers come in the same order. A worker that asks again about the attempt that it runs gets the same answer; an
// execution that does not exist is answered with an empty status.
func (x *Executions) Claim(ctx context.Context, claims []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	ids, first, err := firstClaims(claims)
	if err != nil {
		return nil, err
	}
	standing := make(map[attune.ExecutionID]claimState, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsSQL, ids)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers)
	batch.Queue(claimedSQL, ids).Query(func(rows pgx.Rows) error {
		var id attune.ExecutionID
		var s claimState
		_, err := pgx.ForEachRow(rows, []any{&id, &s.attempt, &s.status, &s.worker}, func() error {
			standing[id] = s
			return nil
		})
		return err
	})
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionClaimReply, len(claims))
	for i, claim := range claims {
		replies[i] = standing[claim.Execution].reply(claim)
	}
	return replies, nil
}

// claimState is where an execution stands after the claims.
type claimState struct {
	attempt int
	status  attune.ExecutionStatus
	worker  string
}

func (s claimState) reply(claim attune.ExecutionClaimMessage) attune.ExecutionClaimReply {
	return attune.ExecutionClaimReply{
		Execution: claim.Execution, Attempt: claim.Attempt, Status: s.status,
		Granted: s.status == attune.ExecutionRunning && s.attempt == claim.Attempt && s.worker == claim.Worker,
	}
}

// claimColumns are claims as columns.
type claimColumns struct {
	ids      []attune.ExecutionID
	attempts []int64
	workers  []string
}

// firstClaims returns every execution asked for, and the first claim of each attempt: a batch may hold several.
func firstClaims(claims []attune.ExecutionClaimMessage) (ids []attune.ExecutionID, first claimColumns, err error) {
	type attempt struct {
		execution attune.ExecutionID
		number    int
	}
	seen := make(map[attempt]bool, len(claims))
	for _, c := range claims {
		if c.Execution <= 0 || c.Attempt <= 0 || c.Worker == "" {
			return nil, first, attune.Errorf(attune.CodeInvalid,
				"%s needs an execution, an attempt and a worker; got %d, %d, %q", c.RoutingKey(), c.Execution, c.Attempt, c.Worker)
		}
		ids = append(ids, c.Execution)
		if key := (attempt{c.Execution, c.Attempt}); !seen[key] {
			seen[key] = true
			first.ids = append(first.ids, c.Execution)
			first.attempts = append(first.attempts, int64(c.Attempt))
			first.workers = append(first.workers, c.Worker)
		}
	}
	return ids, first, nil
}
