package postgres_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestRetries_RandomWalk runs many actors on the same enforcements. They accept enforcements, act upon current and old grants,
// report right and wrong attempts, cancel, retry, give up, settle and rebuild. Each call makes an allowed change or is refused
// as not found or as a conflict. The counts add up at every moment, and in the end every place of every queue is accounted for.
func TestRetries_RandomWalk(t *testing.T) {
	t.Parallel()
	w := newWalk(t, 70)
	b := w.bundle

	const actors, steps = 8, 350
	done, observed := make(chan struct{}), make(chan error, 1)
	go func() { observed <- w.observe(t.Context(), done) }()
	errs := make([]error, actors)
	var wg sync.WaitGroup
	for i := range actors {
		wg.Go(func() { errs[i] = w.act(t.Context(), rand.New(rand.NewPCG(7, uint64(i))), steps) })
	}
	wg.Wait()
	close(done)
	require.NoError(t, <-observed)
	require.NoError(t, errors.Join(errs...))
	for name, sql := range walkRules {
		require.Zero(t, b.count(t, `SELECT count(*) FROM (`+sql+`) broken`), name)
	}
	for _, seen := range []string{
		`SELECT count(*) FROM execution_attempts WHERE attempt = 2`,
		`SELECT count(*) FROM grants g JOIN enforcements e ON e.id = g.enforcement_id WHERE g.sequence <> e.sequence`,
		`SELECT count(*) FROM enforcements WHERE status = 'executed'`,
		`SELECT count(*) FROM enforcements e JOIN executions x ON x.enforcement_id = e.id WHERE e.status = 'expired'`,
		`SELECT count(*) FROM grants WHERE generation > 1`,
		`SELECT count(*) FROM execution_attempts WHERE reason = 'worker_lost'`,
	} {
		require.Positive(t, b.count(t, seen), "the walk has not come there: %s", seen)
	}
}

// walk is the shared state of the actors.
type walk struct {
	*bundle
	queues      []attune.QueueKey
	ids         []attune.EnforcementID
	generations map[attune.QueueKey]*atomic.Int64
	numbers     grantNumbers
	old         sync.Map // by enforcement: a grant that was acted upon before
}

// newWalk creates n enforcements for each placement of retries.
func newWalk(t *testing.T, n int) *walk {
	t.Helper()
	w := &walk{bundle: setup(t), generations: make(map[attune.QueueKey]*atomic.Int64)}
	pack := attune.Pack{Name: "walk", Digest: "1"}
	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark} {
		ref := attune.NewRef("walk", string(placement))
		pack.Actions = append(pack.Actions, attune.Action{
			Ref: ref, Command: []string{"true"}, Timeout: time.Second, Pool: "default", Policy: retries(placement),
		})
		w.queues = append(w.queues, attune.QueueKey(ref))
		w.generations[attune.QueueKey(ref)] = new(atomic.Int64)
	}
	w.install(t, pack)
	w.ids = w.bulk(t, n, "walk.hold", "walk.back", "walk.park")
	return w
}

// act performs a number of random steps.
func (w *walk) act(ctx context.Context, random *rand.Rand, steps int) error {
	for range steps {
		err := w.step(ctx, random, w.ids[random.IntN(len(w.ids))])
		switch attune.CodeOf(err) {
		case attune.CodeNotFound, attune.CodeConflict:
		default:
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walk) step(ctx context.Context, random *rand.Rand, id attune.EnforcementID) error {
	enforcement, err := w.enforcements.Get(ctx, id)
	if err != nil {
		return err
	}
	ticket := attune.Ticket{Enforcement: id, Sequence: enforcement.Sequence}
	if enforcement.QueuedAt != nil {
		ticket.EnqueuedAt = *enforcement.QueuedAt
	}
	switch dice := random.IntN(100); {
	case dice < 15:
		_, err = w.enforcements.Admit(ctx, []attune.EnforcementID{id, w.ids[random.IntN(len(w.ids))]})
	case dice < 45:
		return w.grant(ctx, random, enforcement, ticket)
	case dice < 70:
		return w.report(ctx, random, enforcement)
	case dice < 74:
		return w.renew(ctx, random, id)
	case dice < 78:
		_, err = w.executions.ExpireLeases(ctx, 1+random.IntN(5))
	case dice < 82:
		_, err = w.enforcements.Retry(ctx, id, ada)
	case dice < 84:
		_, err = w.enforcements.GiveUp(ctx, id, ada)
	case dice < 95:
		expired := attune.Settlement{Ticket: ticket, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout}
		_, err = w.recordEnds(ctx, enforcement.Queue, []attune.Settlement{expired, expired})
	case dice < 98:
		return w.cancel(ctx, id)
	default:
		return w.rebuildOne(ctx, w.queues[random.IntN(len(w.queues))])
	}
	return err
}

// grant acts upon a grant of the enforcement's latest known place, or upon an old grant.
func (w *walk) grant(ctx context.Context, random *rand.Rand, e attune.Enforcement, ticket attune.Ticket) error {
	if e.Sequence == 0 {
		return nil
	}
	given := attune.Grant{
		Ticket: ticket, Number: w.numbers.next(), Generation: w.generations[e.Queue].Load(), GrantedAt: time.Now(), Limit: 3,
	}
	given.Attempt = 1 + random.IntN(3)
	if before, ok := w.old.Load(e.ID); ok && random.IntN(4) == 0 {
		given = before.(attune.Grant)
	}
	request, err := w.executions.Request(ctx, e.Queue, given)
	if err == nil && request.Message != nil {
		w.old.Store(e.ID, given)
		leases := []time.Duration{lease, time.Millisecond} // the first is sometimes renewed, the second expires at once
		if random.IntN(2) == 0 {
			claims := []attune.ExecutionClaimMessage{claimOf(*request.Message, "worker-1")}
			_, err = w.executions.Claim(ctx, claims, leases[random.IntN(len(leases))])
		}
	}
	return err
}

func (w *walk) execution(ctx context.Context, id attune.EnforcementID) (attune.Execution, error) {
	executions, err := w.executions.List(ctx, attune.ExecutionFilter{Enforcement: id}, attune.Page{})
	if err != nil || len(executions) == 0 {
		return attune.Execution{}, err
	}
	return executions[0], nil
}

// report reports the current attempt of an execution or another attempt, once or several times.
func (w *walk) report(ctx context.Context, random *rand.Rand, e attune.Enforcement) error {
	ends := []attune.ExecutionStatus{
		attune.ExecutionFailed, attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionAbandoned, attune.ExecutionSucceeded,
	}
	var reports []attune.ExecutionCompletedMessage
	for _, id := range []attune.EnforcementID{e.ID, w.ids[random.IntN(len(w.ids))]} {
		x, err := w.execution(ctx, id)
		if err != nil {
			return err
		}
		if x.ID == 0 {
			continue
		}
		report := attune.ExecutionCompletedMessage{
			Execution: x.ID, Attempt: max(1, x.Attempt-random.IntN(5)/4), Worker: "worker-1", Key: keyOf("worker-1"),
			Status: ends[random.IntN(len(ends))], Pool: attune.DefaultPool,
		}
		reports = append(reports, report, report)
	}
	random.Shuffle(len(reports), func(i, j int) { reports[i], reports[j] = reports[j], reports[i] })
	_, err := w.executions.Finish(ctx, reports)
	return err
}

// renew renews the current attempt of an execution or another attempt.
func (w *walk) renew(ctx context.Context, random *rand.Rand, id attune.EnforcementID) error {
	x, err := w.execution(ctx, id)
	if err != nil || x.ID == 0 {
		return err
	}
	asked := attune.AttemptID{Execution: x.ID, Attempt: max(1, x.Attempt-random.IntN(5)/4)}
	_, err = w.executions.Renew(ctx, []attune.ExecutionRenewMessage{
		renewalOf("worker-1", asked), renewalOf("worker-2", asked),
	}, time.Millisecond)
	return err
}

func (w *walk) cancel(ctx context.Context, id attune.EnforcementID) error {
	x, err := w.execution(ctx, id)
	if err == nil && x.ID != 0 {
		_, err = w.executions.Cancel(ctx, x.ID, ada)
	}
	return err
}

func (w *walk) rebuildOne(ctx context.Context, key attune.QueueKey) error {
	snapshot, err := w.bundle.queues.Rebuild(ctx, key)
	if err == nil {
		w.generations[key].Store(snapshot.Generation)
	}
	return err
}

// observe reads the counts of every queue until done.
func (w *walk) observe(ctx context.Context, done <-chan struct{}) error {
	for {
		all, err := w.bundle.queues.List(ctx, attune.Page{})
		if err != nil {
			return err
		}
		for _, stats := range all {
			if err := addsUp(stats); err != nil {
				return err
			}
		}
		select {
		case <-done:
			return nil
		default:
		}
	}
}

// walkRules are queries that find violations.
var walkRules = map[string]string{
	"every place is an enforcement's, or that of a grant before, once": `
		SELECT q.key, s.sequence FROM queues q, generate_series(1, q.last_sequence) AS s (sequence)
		WHERE 1 <> (SELECT count(DISTINCT p.id) FROM (
			SELECT id, sequence FROM enforcements WHERE queue_id = q.id
			UNION SELECT enforcement_id, sequence FROM grants WHERE queue_id = q.id) p WHERE p.sequence = s.sequence)`,
	"completed are those that ended, those that are parked, and the places before": `
		SELECT q.key FROM queues q WHERE q.total_completed <>
			(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status IN ('executed', 'parked')) +
			(SELECT count(*) FROM grants g JOIN enforcements e ON e.id = g.enforcement_id
			WHERE g.queue_id = q.id AND g.sequence <> e.sequence)`,
	"dropped are those that ended in line": `
		SELECT q.key FROM queues q WHERE q.total_dropped <>
			(SELECT count(*) FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'expired')`,
	"a grant is open if and only if the enforcement holds a slot by it": `
		SELECT g.number FROM grants g JOIN enforcements e ON e.id = g.enforcement_id
		WHERE (g.released_at IS NULL) <> (e.status = 'granted' AND e.grant_number = g.number)`,
	"every enforcement that was granted has that grant in the log": `
		SELECT e.id FROM enforcements e WHERE e.grant_number IS NOT NULL AND NOT EXISTS (
			SELECT FROM grants g WHERE g.queue_id = e.queue_id AND g.number = e.grant_number AND g.enforcement_id = e.id
				AND g.sequence = e.sequence AND g.queued_at = e.queued_at)`,
	"attempts of an enforcement rise with its places": `
		SELECT g.number FROM grants g JOIN grants h ON h.enforcement_id = g.enforcement_id AND h.sequence > g.sequence
		WHERE h.attempt <= g.attempt OR h.queued_at < g.queued_at OR h.requested_at < g.released_at`,
	"generations rise with the time of requests": `
		SELECT g.number FROM grants g JOIN grants h ON h.queue_id = g.queue_id AND h.requested_at > g.requested_at
		WHERE h.generation < g.generation`,
	"the status of an enforcement goes with that of its execution": `
		SELECT e.id FROM enforcements e LEFT JOIN executions x ON x.enforcement_id = e.id WHERE NOT CASE e.status
			WHEN 'created' THEN x.id IS NULL
			WHEN 'queued' THEN x.id IS NULL OR x.status = 'retrying' AND x.retry_at IS NULL
			WHEN 'granted' THEN x.finished_at IS NULL AND (x.status = 'retrying') = (x.retry_at IS NOT NULL)
			WHEN 'parked' THEN x.status = 'retrying' AND x.retry_at IS NULL
			ELSE x.id IS NULL OR x.finished_at = e.finished_at END`,
	"every attempt but the last is in the journal, and the last if another was to come": `
		SELECT x.id FROM executions x WHERE
			(SELECT count(*) FROM execution_attempts a WHERE a.execution_id = x.id AND a.attempt < x.attempt) <> x.attempt - 1
			OR x.status = 'retrying' AND NOT EXISTS (
				SELECT FROM execution_attempts a WHERE a.execution_id = x.id AND a.attempt = x.attempt AND a.status = x.attempt_status)
			OR EXISTS (SELECT FROM execution_attempts a WHERE a.execution_id = x.id AND a.attempt > x.attempt)`,
	"each lost worker is reported once": `
		SELECT l.id FROM (
			SELECT x.id, x.attempt FROM executions x WHERE x.status = 'abandoned' AND x.reason = 'worker_lost'
			UNION SELECT a.execution_id, a.attempt FROM execution_attempts a WHERE a.reason = 'worker_lost') l (id, attempt)
		WHERE 1 <> (SELECT count(*) FROM outbox o
			WHERE o.message_id = 'execution/' || l.id || '/' || l.attempt || '/ended' AND o.body->>'status' = 'abandoned')`,
	"no end of an attempt is told twice": `
		SELECT message_id FROM outbox WHERE routing_key = 'execution.ended'
		GROUP BY message_id, body->>'status' HAVING count(*) > 1`,
	"no execution has more attempts than the policy allows": `SELECT id FROM executions WHERE attempt > 3`,
	"each return to the line is announced": `
		SELECT e.id FROM enforcements e
		WHERE (SELECT count(*) FROM grants g WHERE g.enforcement_id = e.id AND g.sequence <> e.sequence) <>
			(SELECT count(*) FROM outbox o WHERE o.message_id = 'enforcement/' || e.id || '/created')`,
}
