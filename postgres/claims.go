package postgres

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// lockExecutionsByIDSQL takes the locks in ascending order, so that claims, renewals and reports cannot deadlock.
const lockExecutionsByIDSQL = `SELECT id FROM executions WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`

// claimSQL pins the key of the first claim. Only the next attempt of the execution gets another key.
const claimSQL = `
UPDATE executions x SET status = 'running', worker = u.worker, claim_key = u.key, claim_serial = u.serial,
	started_at = GREATEST(clock_timestamp(), x.requested_at),
	lease_until = clock_timestamp() + $6::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[], $5::bigint[], $7::text[])
	AS u (id, attempt, worker, key, serial, pool)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.pool = u.pool AND x.status = 'requested'
RETURNING x.id, x.attempt, x.claim_key`

const claimedSQL = `
SELECT x.id, x.attempt, x.pool, x.status, x.claim_key, x.claim_serial,
	floor(COALESCE(extract(epoch FROM x.lease_until - clock_timestamp()) * 1000, 0))::bigint,
	e.id, a.ref, x.action_digest, e.parameters, a.secrets, COALESCE(e.encrypted, ''), e.event_id, COALESCE(e.rule_id, 0)
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id JOIN actions a ON a.id = e.action_id
WHERE x.id = ANY ($1::bigint[])`

// claimed is the state of an execution after the claims, with the input of its current attempt.
type claimed struct {
	held
	input  attune.ExecutionInput
	demand attune.SecretDemand
}

func scanClaimed(row pgx.CollectableRow) (claimed, error) {
	var c claimed
	var left int64
	err := row.Scan(&c.id, &c.attempt, &c.pool, &c.status, &c.key, &c.serial, &left,
		&c.input.Enforcement, &c.input.Action, &c.input.ActionDigest, &c.input.Parameters,
		&c.demand.Names, &c.demand.Encrypted, &c.demand.Event, &c.demand.Rule)
	c.left = time.Duration(left) * time.Millisecond
	return c, err
}

// Claim assigns attempts to workers. Each attempt goes to the first worker that claims it, in the order of claims, with a
// lease. The key of that claim is pinned: a claim with another key is refused, also under the same name. So is a claim with another
// pool than that of the attempt. The decisions have the order of claims. The reply for an unknown execution has an empty status.
//
// If a worker repeats its claim with a higher serial, Claim renews the lease. A copy of a claim gets what is left of the lease. If
// the lease has expired, the claim is refused, and no worker may run the attempt. A lease of 0 or less is [attune.CodeInvalid].
func (x *Executions) Claim(
	ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration,
) ([]attune.ClaimDecision, error) {
	all, first, err := claimedAttempts(claims, lease)
	if err != nil {
		return nil, err
	}
	leased, states := make(leaseSet), make(map[attune.ExecutionID]claimed)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsByIDSQL, all.ids)
	batch.Queue(renewSQL, all.ids, all.attempts, all.keys, all.serials, milliseconds(lease), all.pools).Query(leased.scan)
	batch.Queue(claimSQL, first.ids, first.attempts, first.workers, first.keys, first.serials, milliseconds(lease), first.pools).
		Query(leased.scan)
	batch.Queue(claimedSQL, all.ids).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, scanClaimed)
		for _, state := range found {
			states[state.id] = state
		}
		return err
	})
	if err := x.db.send(ctx, "claim executions", batch); err != nil {
		return nil, err
	}
	decisions := make([]attune.ClaimDecision, len(claims))
	for i, claim := range claims {
		isLeased := leased[workerAttempt{claim.Execution, claim.Attempt, claim.Key}]
		decisions[i] = states[claim.Execution].decide(claim, isLeased, lease)
	}
	return decisions, nil
}

// decide returns the decision about a claim. isLeased reports whether one of the statements gave or renewed the whole lease.
func (c claimed) decide(claim attune.ExecutionClaimMessage, isLeased bool, lease time.Duration) attune.ClaimDecision {
	d := attune.ClaimDecision{Reply: attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: claim.Attempt, Status: c.status}}
	own := c.attempt == claim.Attempt && c.by(claim.Key)
	switch {
	case c.attempt == claim.Attempt && c.pool != claim.Pool:
		d.OtherPool = true
		return d
	case isLeased:
		d.Reply.Lease = attune.Duration(lease)
	case own && c.runs():
		d.Reply.Lease = attune.Duration(min(lease, c.left))
	default:
		d.OtherKey = c.attempt == claim.Attempt && len(c.key) > 0 && !own
		return d
	}
	d.Reply.Granted, d.Input, d.Demand = true, c.input, c.demand
	return d
}

// workerAttempt is an attempt together with the key of the worker that claims or runs it.
type workerAttempt struct {
	execution attune.ExecutionID
	attempt   int
	key       attune.WorkerKey
}

// leaseSet holds the attempts whose lease a statement gave or renewed.
type leaseSet map[workerAttempt]bool

func (l leaseSet) scan(rows pgx.Rows) error {
	var a workerAttempt
	var key []byte
	_, err := pgx.ForEachRow(rows, []any{&a.execution, &a.attempt, &key}, func() error {
		copy(a.key[:], key)
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
	keys     [][]byte
	serials  []int64
	pools    []string
}

func (c *attemptColumns) add(id attune.AttemptID, worker, pool string, key attune.WorkerKey, serial int64) {
	c.ids = append(c.ids, id.Execution)
	c.attempts = append(c.attempts, int64(id.Attempt))
	c.workers = append(c.workers, worker)
	c.keys = append(c.keys, key[:])
	c.serials = append(c.serials, serial)
	c.pools = append(c.pools, pool)
}

// claimedAttempts returns all claims, and the first claim of each attempt and pool: a batch can contain several claims of one attempt.
// The first claim gets the highest serial of its worker, so that no other copy of it counts as a new claim.
func claimedAttempts(claims []attune.ExecutionClaimMessage, lease time.Duration) (all, first attemptColumns, err error) {
	if err := checkLease(attune.KeyExecutionClaim, lease); err != nil {
		return all, first, err
	}
	type target struct {
		execution attune.ExecutionID
		attempt   int
		pool      string
	}
	places := make(map[target]int, len(claims))
	for _, c := range claims {
		if err := c.Validate(); err != nil {
			return all, first, err
		}
		id, of := attune.AttemptID{Execution: c.Execution, Attempt: c.Attempt}, target{c.Execution, c.Attempt, c.Pool}
		all.add(id, c.Worker, c.Pool, c.Key, c.Serial)
		place, seen := places[of]
		switch {
		case !seen:
			places[of] = len(first.ids)
			first.add(id, c.Worker, c.Pool, c.Key, c.Serial)
		case bytes.Equal(first.keys[place], c.Key[:]):
			first.serials[place] = max(first.serials[place], c.Serial)
		}
	}
	return all, first, nil
}
