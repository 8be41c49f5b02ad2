package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// renewSQL never shortens a lease: the answer to an earlier question, which promised more, may be the one that arrives.
const renewSQL = `
UPDATE executions x SET lease_until = GREATEST(x.lease_until, clock_timestamp() + $4::bigint * interval '1 millisecond')
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) AS u (id, attempt, worker)
WHERE x.id = u.id AND x.attempt = u.attempt AND x.worker = u.worker AND x.status = 'running'
	AND x.lease_until > clock_timestamp()
RETURNING x.id, x.attempt, x.worker`

// Renew lets workers go on with the attempts that they run, each until lease from now on, or until its lease was over anyway
// if that is later. The answers come in the order of the messages, which may be about the same attempts.
//
// What a worker asks about and may not run is lost to it, in the order asked: its lease has run out, it has ended, or it
// never was this worker's. A lease of 0 or less, and a message that nobody could answer, is [attune.CodeInvalid].
func (x *Executions) Renew(
	ctx context.Context, renewals []attune.ExecutionRenewMessage, lease time.Duration,
) ([]attune.ExecutionRenewReply, error) {
	asked, err := renewedAttempts(renewals, lease)
	if err != nil {
		return nil, err
	}
	leased := make(leased)
	batch := new(pgx.Batch)
	batch.Queue(lockExecutionsSQL, asked.ids)
	batch.Queue(renewSQL, asked.ids, asked.attempts, asked.workers, milliseconds(lease)).Query(leased.scan)
	if err := x.db.send(ctx, "renew leases", batch); err != nil {
		return nil, err
	}
	replies := make([]attune.ExecutionRenewReply, len(renewals))
	for i, renewal := range renewals {
		replies[i].Lease = attune.Duration(lease)
		for _, id := range renewal.Attempts {
			if !leased[run{id, renewal.Worker}] {
				replies[i].Lost = append(replies[i].Lost, id)
			}
		}
	}
	return replies, nil
}

func renewedAttempts(renewals []attune.ExecutionRenewMessage, lease time.Duration) (asked runColumns, err error) {
	if err := checkLease(attune.KeyExecutionRenew, lease); err != nil {
		return asked, err
	}
	for _, r := range renewals {
		if err := r.Validate(); err != nil {
			return asked, err
		}
		for _, id := range r.Attempts {
			asked.add(id, r.Worker)
		}
	}
	return asked, nil
}

func checkLease(key string, lease time.Duration) error {
	if lease <= 0 {
		return attune.Errorf(attune.CodeInvalid, "%s needs a lease above 0; got %s", key, lease)
	}
	return nil
}

// ranOutSQL compares with now(), which an index can be searched for. Being a moment late is no harm.
const ranOutSQL = `SELECT id FROM executions WHERE lease_until <= now() ORDER BY lease_until, id LIMIT $1::bigint`

// ExpireLeases ends up to limit attempts whose lease has run out, the oldest lease first, and returns how many. Each ends
// like by a report that its worker was lost: see [Executions.Finish], also for what the policy makes of it. That report goes
// into the outbox, so that the queue hears of it like of any other, and finds the execution as it is then.
//
// Any number of processes may do it at the same time: an attempt is ended, and reported, by one of them. A report that was
// faster counts, and one that comes too late changes nothing. A limit below 1 is [attune.CodeInvalid].
func (x *Executions) ExpireLeases(ctx context.Context, limit int) (int, error) {
	if limit < 1 {
		return 0, attune.Errorf(attune.CodeInvalid, "expire leases: the limit is %d, use 1 or more", limit)
	}
	// Usually there are none, and then this is all: what is found is looked at again under the locks.
	candidates, err := collect(ctx, x.db.pool, pgx.RowTo[attune.ExecutionID], ranOutSQL, limit)
	if err != nil || len(candidates) == 0 {
		return 0, wrap("look for leases that have run out", err)
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

// expire ends those of the candidates whose lease has run out, and returns how many.
func expire(ctx context.Context, tx pgx.Tx, candidates []attune.ExecutionID) (int, error) {
	slots, err := lockSlots(ctx, tx, candidates)
	if err != nil {
		return 0, err
	}
	var ends attemptEnds
	var reports []attune.Message
	for _, id := range candidates {
		if s := slots[id]; s != nil && s.ranOut() {
			report := s.workerLost()
			ends.finish(s, report)
			reports = append(reports, report)
		}
	}
	if err := ends.store(ctx, tx); err != nil {
		return 0, err
	}
	return len(reports), post(ctx, tx, reports...)
}

// ranOut reports whether the lease of the attempt had run out when it was locked.
func (s *slot) ranOut() bool { return !s.leaseUntil.IsZero() && !s.leaseUntil.After(s.lockedAt) }

// workerLost is the report in the place of the worker that has not renewed its lease.
func (s *slot) workerLost() attune.ExecutionCompletedMessage {
	report := s.report(attune.ExecutionAbandoned, attune.ReasonWorkerLost, fmt.Sprintf(
		"its lease ran out at %s: worker %q has not renewed it in time", s.leaseUntil.Format(time.RFC3339), s.worker))
	report.Worker, report.StartedAt, report.FinishedAt = s.worker, s.startedAt, s.lockedAt
	return report
}
