package postgres_test

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_ExpireLeases ends one attempt whose worker is lost, under every policy: the queue hears of it by the report in
// the outbox, which a worker's late report neither overtakes nor changes.
func TestExecutions_ExpireLeases(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		policy      *attune.Policy
		cancelled   bool
		effect      attune.CompletionEffect
		status      attune.ExecutionStatus
		enforcement attune.EnforcementStatus
		released    bool
	}{
		"no further attempt": {
			effect: attune.CompletionRepeated, status: attune.ExecutionAbandoned, enforcement: attune.EnforcementExecuted, released: true,
		},
		"hold": {
			policy: retries(attune.RetryHold),
			effect: attune.CompletionRetrying, status: attune.ExecutionRetrying, enforcement: attune.EnforcementGranted,
		},
		"back": {
			policy: retries(attune.RetryBack),
			effect: attune.CompletionRequeued, status: attune.ExecutionRetrying, enforcement: attune.EnforcementQueued, released: true,
		},
		"park": {
			policy: retries(attune.RetryPark),
			effect: attune.CompletionParked, status: attune.ExecutionRetrying, enforcement: attune.EnforcementParked, released: true,
		},
		"cancelled": {
			policy: retries(attune.RetryHold), cancelled: true,
			effect: attune.CompletionRepeated, status: attune.ExecutionAbandoned, enforcement: attune.EnforcementExecuted, released: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if test.policy != nil {
				b.policy(t, test.policy)
			}
			ticket, message := b.runFirst(t)
			if test.cancelled {
				_, err := b.executions.Cancel(t.Context(), message.Execution)
				require.NoError(t, err)
			}
			b.runOut(t, message.Execution)
			before := b.execution(t, message.Execution)
			b.takeOutbox(t)

			require.Equal(t, 1, b.expireLeases(t, 10))
			execution, enforcement := b.execution(t, message.Execution), b.enforcement(t, ticket.Enforcement)
			require.Equal(t, test.status, execution.Status)
			require.Equal(t, test.enforcement, enforcement.Status)
			require.Equal(t, attune.ReasonWorkerLost, execution.Reason)
			require.Equal(t, "worker-1", execution.Worker)
			require.Nil(t, execution.LeaseUntil)
			want := attune.ExecutionCompletedMessage{
				Execution: message.Execution, Enforcement: message.Enforcement, ActionID: message.ActionID, Attempt: 1, Worker: "worker-1",
				Status: attune.ExecutionAbandoned, Reason: attune.ReasonWorkerLost, Error: execution.Error, StartedAt: *before.StartedAt,
			}
			for _, told := range []string{`"worker-1"`, before.LeaseUntil.Format(time.RFC3339)} {
				require.Contains(t, execution.Error, told)
			}
			b.requireAccounts(t, ticket, test.released, test.enforcement == attune.EnforcementQueued)

			rows := b.count(t, `SELECT count(*) FROM outbox`)
			announced := b.count(t, `SELECT count(*) FROM outbox WHERE routing_key = 'enforcement.created'`)
			reports := b.reported(t)
			require.Len(t, reports, 1)
			require.Equal(t, rows, 1+announced)
			require.Equal(t, test.enforcement == attune.EnforcementQueued, announced == 1)
			require.False(t, reports[0].FinishedAt.Before(*before.LeaseUntil))
			want.FinishedAt = reports[0].FinishedAt
			require.Empty(t, cmp.Diff(want, reports[0]))

			b.requireNoChange(t, func() {
				require.Zero(t, b.expireLeases(t, 10))
				told, late := b.finish(t, reports[0])[0], b.finish(t, reportOf(message))[0]
				require.Equal(t, test.effect, told.Effect)
				require.Equal(t, queueKey, told.Queue)
				require.Equal(t, ticket.Enforcement, told.Ticket.Enforcement)
				require.Empty(t, cmp.Diff(told, late))
				require.Equal(t, []attune.AttemptID{attemptOf(message)}, b.renew(t, "worker-1", attemptOf(message)))
				require.False(t, b.claim(t, message, "worker-1").Granted)
			})
		})
	}
}

// requireAccounts checks what the queue and the log of grants say of the only ticket after its attempt has ended.
func (b *bundle) requireAccounts(t *testing.T, ticket attune.Ticket, released, waiting bool) {
	t.Helper()
	stats, grants := b.stats(t), b.grants(t, attune.Page{})
	require.NoError(t, addsUp(stats))
	require.Len(t, grants, 1)
	require.Equal(t, ticket.Enforcement, grants[0].Enforcement)
	require.Equal(t, released, grants[0].ReleasedAt != nil)
	require.Equal(t, released, stats.TotalCompleted == 1)
	require.Equal(t, released, stats.ActiveCount == 0)
	require.Equal(t, waiting, stats.QueueLength == 1)
	if execution := b.execution(t, 1); execution.FinishedAt != nil {
		require.Equal(t, execution.FinishedAt, grants[0].ReleasedAt)
	}
}

func TestExecutions_ExpireLeasesOfSome(t *testing.T) {
	t.Parallel()

	t.Run("leaves alone what has not run out", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.running(t, 3)
		b.requested(t, 1)
		b.forgetLease(t, messages[0].Execution)
		b.exec(t, `UPDATE executions SET started_at = started_at - interval '1 year' WHERE started_at IS NOT NULL`)
		b.finish(t, reportOf(messages[1]))
		b.requireNoChange(t, func() { require.Zero(t, b.expireLeases(t, 10)) })
	})

	t.Run("the oldest first, as many as were asked for", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.running(t, 5)
		for i, message := range messages {
			b.exec(t, `UPDATE executions SET lease_until = lease_until - interval '1 hour' - $2::integer * interval '1 minute'
				WHERE id = $1`, message.Execution, i)
		}
		b.takeOutbox(t)
		for _, want := range [][]attune.ExecutionRequestedMessage{{messages[4], messages[3]}, {messages[2], messages[1]}, {messages[0]}, nil} {
			require.Equal(t, len(want), b.expireLeases(t, 2))
			reports := b.reported(t)
			require.Len(t, reports, len(want))
			for i, report := range reports {
				require.Equal(t, want[i].Execution, report.Execution)
			}
		}
		require.EqualValues(t, 5, b.stats(t).TotalCompleted)
	})

	t.Run("a report that is faster counts", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.running(t, 1)[0]
		b.runOut(t, message.Execution)
		b.takeOutbox(t)
		require.Equal(t, attune.CompletionFinished, b.finish(t, reportOf(message))[0].Effect)
		b.requireNoChange(t, func() { require.Zero(t, b.expireLeases(t, 10)) })
		require.Equal(t, attune.ExecutionSucceeded, b.execution(t, message.Execution).Status)
		require.Empty(t, b.takeOutbox(t))
	})

	t.Run("a report that comes after the next attempt was requested is stale", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		_, first := b.runFirst(t)
		b.runOut(t, first.Execution)
		require.Equal(t, 1, b.expireLeases(t, 10))
		reports := b.reported(t)
		require.Len(t, reports, 1)
		second := b.run(t, grant(b.finish(t, reports[0])[0].Ticket))
		require.Equal(t, 2, second.Attempt)
		b.requireNoChange(t, func() {
			for _, completion := range b.finish(t, reportOf(first), reports[0]) {
				require.Equal(t, attune.CompletionStale, completion.Effect)
			}
			require.Zero(t, b.expireLeases(t, 10))
		})
		attempts := b.attempts(t, first.Execution)
		require.Len(t, attempts, 1)
		require.Equal(t, attune.ExecutionAbandoned, attempts[0].Status)
		require.Equal(t, attune.ReasonWorkerLost, attempts[0].Reason)
		require.Equal(t, "worker-1", attempts[0].Worker)
	})

	t.Run("the last attempt is the end", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryHold)
		ticket, message := b.runFirst(t)
		for attempt := 1; attempt <= 3; attempt++ {
			b.runOut(t, message.Execution)
			require.Equal(t, 1, b.expireLeases(t, 10))
			if attempt < 3 {
				ticket.Attempt = attempt + 1
				message = b.run(t, grant(ticket))
			}
		}
		require.Equal(t, attune.ExecutionAbandoned, b.execution(t, message.Execution).Status)
		require.Len(t, b.attempts(t, message.Execution), 2)
		require.Len(t, b.reported(t), 3)
	})

	t.Run("refuses a limit that ends nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, limit := range []int{0, -1} {
			_, err := b.executions.ExpireLeases(t.Context(), limit)
			requireCode(t, attune.CodeInvalid, err, "limit", limit)
		}
	})
}

// TestExecutions_LeasesRace has several processes end leases that have run out, while workers ask for the same attempts and
// report some of them, each in an order of its own. Whoever comes first, every attempt has one end and one release, and one
// report in the outbox if it is the end of a lease.
func TestExecutions_LeasesRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 80
	messages := b.running(t, n)
	b.takeOutbox(t)
	overdue := func(i int) bool { return i%4 < 2 }  // its lease has run out
	reports := func(i int) bool { return i%2 == 0 } // and its worker reports it
	for i, message := range messages {
		if overdue(i) {
			b.runOut(t, message.Execution)
		}
	}

	r := &leaseRace{bundle: b, messages: messages, finished: make(map[attune.ExecutionID]int), kept: make(map[attune.ExecutionID]bool)}
	var wg sync.WaitGroup
	for actor := range 4 {
		random := func() *rand.Rand { return rand.New(rand.NewPCG(11, uint64(actor))) }
		wg.Go(func() { r.expire(t, 1+actor*5) })
		wg.Go(func() { r.report(t, random(), reports) })
		wg.Go(func() { r.ask(t, random()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(r.errs...))

	lost := make(map[attune.ExecutionID]int)
	for _, report := range b.reported(t) {
		lost[report.Execution]++
	}
	require.Equal(t, r.expired, len(lost))
	for i, message := range messages {
		id := message.Execution
		ends := r.finished[id] + lost[id]
		require.Equal(t, overdue(i) || reports(i), ends == 1, "execution %d has %d ends", id, ends)
		require.LessOrEqual(t, ends, 1, "execution %d", id)
		require.False(t, overdue(i) && r.kept[id], "execution %d was renewed after its lease had run out", id)
		want := attune.ExecutionRunning
		switch {
		case lost[id] > 0:
			require.True(t, overdue(i))
			want = attune.ExecutionAbandoned
		case ends > 0:
			want = attune.ExecutionSucceeded
		default:
			require.True(t, r.kept[id])
		}
		require.Equal(t, want, b.execution(t, id).Status)
	}
	stats := b.stats(t)
	require.NoError(t, addsUp(stats))
	require.EqualValues(t, n*3/4, stats.TotalCompleted)
	require.EqualValues(t, n*3/4, b.count(t, `SELECT count(*) FROM grants WHERE released_at IS NOT NULL`))
}

// leaseRace is what the actors of a race share.
type leaseRace struct {
	*bundle
	messages []attune.ExecutionRequestedMessage

	mu       sync.Mutex
	expired  int
	finished map[attune.ExecutionID]int  // how often a worker's report has ended it
	kept     map[attune.ExecutionID]bool // a worker was told to go on
	errs     []error
}

func (r *leaseRace) note(err error, do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errs = append(r.errs, err)
	if err == nil {
		do()
	}
}

// expire ends leases until none is left.
func (r *leaseRace) expire(t *testing.T, limit int) {
	for {
		n, err := r.executions.ExpireLeases(t.Context(), limit)
		r.note(err, func() { r.expired += n })
		if n == 0 {
			return
		}
	}
}

// report ends some of the executions, a few at a time.
func (r *leaseRace) report(t *testing.T, random *rand.Rand, some func(i int) bool) {
	for range 30 {
		var batch []attune.ExecutionCompletedMessage
		for range 10 {
			if i := random.IntN(len(r.messages)); some(i) {
				batch = append(batch, reportOf(r.messages[i]))
			}
		}
		completions, err := r.executions.Finish(t.Context(), batch)
		r.noteFinished(completions, err)
	}
	var rest []attune.ExecutionCompletedMessage
	for i, message := range r.messages {
		if some(i) {
			rest = append(rest, reportOf(message))
		}
	}
	completions, err := r.executions.Finish(t.Context(), rest)
	r.noteFinished(completions, err)
}

func (r *leaseRace) noteFinished(completions []attune.Completion, err error) {
	r.note(err, func() {
		for _, c := range completions {
			if c.Effect == attune.CompletionFinished {
				r.finished[c.Execution]++
			}
		}
	})
}

// ask renews all attempts, and claims them again, in any order.
func (r *leaseRace) ask(t *testing.T, random *rand.Rand) {
	for range 15 {
		renewal := attune.ExecutionRenewMessage{Worker: "worker-1"}
		var claims []attune.ExecutionClaimMessage
		for _, i := range random.Perm(len(r.messages)) {
			renewal.Attempts = append(renewal.Attempts, attemptOf(r.messages[i]))
			claims = append(claims, claimOf(r.messages[i], "worker-1"))
		}
		replies, err := r.executions.Renew(t.Context(), []attune.ExecutionRenewMessage{renewal}, lease)
		r.note(err, func() {
			lost := make(map[attune.AttemptID]bool)
			for _, id := range replies[0].Lost {
				lost[id] = true
			}
			for _, id := range renewal.Attempts {
				r.kept[id.Execution] = r.kept[id.Execution] || !lost[id]
			}
		})
		answers, err := r.executions.Claim(t.Context(), claims[:10], lease)
		r.note(err, func() {
			for _, answer := range answers {
				r.kept[answer.Execution] = r.kept[answer.Execution] || answer.Granted
			}
		})
	}
}
