package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// renewSQL never shortens a lease. An earlier reply can promise a later end, and the worker may receive only that one.
const renewSQL = `
UPDATE executions x SET lease_until = GREATEST(x.lease_until, clock_timestamp() + $4::bigint * interval '1 millisecond')
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.worker = u.worker AND x.status = 'running'
	AND x.lease_until > clock_timestamp()
RETURNING x.id, x.attempt, x.worker`

// Renew extends the leases of running attempts to now plus lease; a lease that ends later stays as it is. The replies have the
// order of renewals. Several renewals may name the same attempt.
//
// Each reply lists the attempts that the worker has lost, in the order of the request: the lease expired, the attempt ended, or
// another worker owns it. A lease of 0 or less, or an invalid message, is [attune.CodeInvalid].
func (x *Executions) Renew(
	ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.ExecutionRenewReply, error) {
	attempts, err := renewedAttempts(renewals, lease)
	if err != nil {
		return nil, err
	}
	leased := make(leaseSet)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsByIDSQL, attempts.ids)
	batch.Queue(renewSQL, attempts.ids, attempts.attempts, attempts.workers, milliseconds(lease)).Query(leased.scan)
	if err := x.db.send(ctx, "renew leases", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionRenewReply, len(renewals))
	for i, renewal := range renewals {
		replies[i].Lease = attune.Duration(lease)
		for _, id := range renewal.Attempts {
			if !leased[workerAttempt{id.Execution, id.Attempt, renewal.Worker}] {
				replies[i].Lost = append(replies[i].Lost, id)
			}
		}
	}
	return replies, nil
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
			attempts.add(id, r.Worker)
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
// ends as if a report had said that the worker was lost, and the policy may retry it: see [Executions.Finish]. The report also
// goes into the outbox, so the queue receives it like any other.
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
	var reports []attune.Message
	for _, id := range candidates {
		if l := locked[id]; l != nil && l.leaseExpired() {
			report := l.workerLost()
			finished.finish(l, report)
			reports = append(reports, report)
		}
	}
	if err := finished.store(ctx, tx); err != nil {
		return 0, err
	}
	return len(reports), post(ctx, tx, reports...)
}
