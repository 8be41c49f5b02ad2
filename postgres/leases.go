package postgres

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// renewSQL never shortens a lease. An earlier reply can promise a later end, and the worker may receive only that one. A serial that
// is not higher than the last one renews nothing, so a copy of a message cannot keep an attempt alive.
const renewSQL = `
WITH u AS (
	SELECT id, attempt, key, pool, max(serial) AS serial
	FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bigint[], $6::text[]) AS u (id, attempt, key, serial, pool)
	GROUP BY id, attempt, key, pool
)
UPDATE executions x SET lease_until = GREATEST(x.lease_until, clock_timestamp() + $5::bigint * interval '1 millisecond'),
	claim_serial = u.serial
FROM u WHERE x.id = u.id AND x.attempt = u.attempt AND x.pool = u.pool AND x.claim_key = u.key
	AND x.claim_serial < u.serial AND x.status = 'running' AND x.lease_until > clock_timestamp()
RETURNING x.id, x.attempt, x.claim_key`

const heldSQL = `
SELECT x.id, x.attempt, x.pool, x.status, x.claim_key, x.claim_serial,
	floor(COALESCE(extract(epoch FROM x.lease_until - clock_timestamp()) * 1000, 0))::bigint
FROM executions x WHERE x.id = ANY ($1::bigint[])`

// held is who holds the current attempt of an execution, and for how long.
type held struct {
	id      attune.ExecutionID
	attempt int
	pool    string
	status  attune.ExecutionStatus
	key     []byte // empty before the claim
	serial  int64
	left    time.Duration
}

func scanHeld(row pgx.CollectableRow) (held, error) {
	var h held
	var left int64
	err := row.Scan(&h.id, &h.attempt, &h.pool, &h.status, &h.key, &h.serial, &left)
	h.left = time.Duration(left) * time.Millisecond
	return h, err
}

// by reports whether the key has claimed the attempt.
func (h held) by(key attune.WorkerKey) bool { return bytes.Equal(h.key, key[:]) }

// runs reports whether the attempt runs and its lease is not over.
func (h held) runs() bool { return h.status == attune.ExecutionRunning && h.left > 0 }

// Renew extends the leases of running attempts to now plus lease; a lease that ends later stays as it is. The answers have the
// order of renewals. Several renewals may name the same attempt.
//
// Each reply lists the attempts that the worker has lost, in the order of the request: the lease expired, or the attempt ended. Late has
// those that the renewal left as they are. An attempt that another key has claimed is forged, and OtherPool has those of another pool. A
// lease of 0 or less, or an invalid message, is [attune.CodeInvalid].
func (x *Executions) Renew(
	ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.Renewal, error) {
	attempts, err := renewedAttempts(renewals, lease)
	if err != nil {
		return nil, err
	}
	leased, holders := make(leaseSet), make(map[attune.ExecutionID]held)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsByIDSQL, attempts.ids)
	batch.Queue(renewSQL, attempts.ids, attempts.attempts, attempts.keys, attempts.serials, milliseconds(lease), attempts.pools).
		Query(leased.scan)
	batch.Queue(heldSQL, attempts.ids).Query(func(rows pgx.Rows) error {
		all, err := pgx.CollectRows(rows, scanHeld)
		for _, h := range all {
			holders[h.id] = h
		}
		return err
	})
	if err := x.db.send(ctx, "renew leases", batch); err != nil {
		return nil, err
	}
	answers := make([]attune.Renewal, len(renewals))
	for i, renewal := range renewals {
		answers[i].Reply.Lease = attune.Duration(lease)
		for _, id := range renewal.Attempts {
			isLeased := leased[workerAttempt{id.Execution, id.Attempt, renewal.Key}]
			if h := holders[id.Execution]; !isLeased || h.pool != renewal.Pool {
				h.refuse(&answers[i], id, renewal)
			}
		}
	}
	return answers, nil
}

// refuse adds an attempt that was not renewed to the answer. The holder of an unknown execution is zero.
func (h held) refuse(answer *attune.Renewal, id attune.AttemptID, renewal attune.ExecutionRenewMessage) {
	list := &answer.Reply.Lost
	switch {
	case h.attempt != id.Attempt: // the attempt is over
	case h.pool != renewal.Pool:
		list = &answer.OtherPool
	case !h.by(renewal.Key):
		list = &answer.Forged
	case h.runs():
		list = &answer.Reply.Late
	}
	*list = append(*list, id)
}

func renewedAttempts(renewals []attune.ExecutionRenewMessage, lease time.Duration) (attempts attemptColumns, err error) {
	if err := checkLease(attune.KeyExecutionRenew, lease); err != nil {
		return attempts, err
	}
	for _, r := range renewals {
		if err := r.Validate(); err != nil {
			return attempts, err
		}
		for _, id := range r.Attempts {
			attempts.add(id, r.Worker, r.Pool, r.Key, r.Serial)
		}
	}
	return attempts, nil
}

func checkLease(key string, lease time.Duration) error {
	if lease <= 0 {
		return attune.Errorf(attune.CodeInvalid, "%s needs a lease above 0; got %s", key, lease)
	}
	return nil
}

// expiredLeasesSQL compares with now(), which is constant in a transaction, so the index applies. The difference to the clock
// is short and harmless.
const expiredLeasesSQL = `SELECT id FROM executions WHERE lease_until <= now() ORDER BY lease_until, id LIMIT $1::bigint`

// ExpireLeases ends up to limit attempts with an expired lease, oldest lease first, and returns how many it ended. Each attempt
// ends as if a report had said that the worker was lost, and the policy may retry it: see [Executions.Finish]. A message in the
// outbox tells the queue.
//
// Any number of processes may call ExpireLeases at the same time; one of them ends each attempt. If the worker's report was
// recorded first, it counts; a later report changes nothing. A limit below 1 is [attune.CodeInvalid].
func (x *Executions) ExpireLeases(ctx context.Context, limit int) (int, error) {
	if limit < 1 {
		return 0, attune.Errorf(attune.CodeInvalid, "expire leases: the limit is %d, use 1 or more", limit)
	}
	// Usually no lease has expired, so the first query takes no lock. expire checks each candidate again under its lock.
	candidates, err := collect(ctx, x.db.pool, pgx.RowTo[attune.ExecutionID], expiredLeasesSQL, limit)
	if err != nil || len(candidates) == 0 {
		return 0, wrap("find expired leases", err)
	}
	expired := 0
	err = x.db.inTx(ctx, "expire leases", func(tx pgx.Tx) (err error) {
		expired, err = expire(ctx, tx, candidates)
		return err
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

// expire ends the candidates whose lease has expired, and returns how many it ended.
func expire(ctx context.Context, tx pgx.Tx, candidates []attune.ExecutionID) (int, error) {
	locked, err := lockExecutions(ctx, tx, candidates)
	if err != nil {
		return 0, err
	}
	var finished finishedAttempts
	var ended []attune.Message
	for _, id := range candidates {
		if l := locked[id]; l != nil && l.leaseExpired() {
			report := l.workerLost()
			finished.end(l, report)
			ended = append(ended, l.ended(report))
		}
	}
	if err := finished.store(ctx, tx); err != nil {
		return 0, err
	}
	return len(ended), post(ctx, tx, ended...)
}
