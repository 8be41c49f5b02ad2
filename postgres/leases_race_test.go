package postgres_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestExecutions_LeasesRace expires leases in several processes, while workers renew the same attempts and report some of
// them, each in its own order. In any order of events, every attempt ends once and releases its slot once. The outbox has one
// report for each expired lease.
func TestExecutions_LeasesRace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const n = 80
	messages := b.running(t, n)
	b.takeOutbox(t)
	overdue := func(i int) bool { return i%4 < 2 }  // its lease has expired
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
		wg.Go(func() { r.expire(t.Context(), 1+actor*5) })
		wg.Go(func() { r.report(t.Context(), random(), reports) })
		wg.Go(func() { r.ask(t.Context(), random()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(r.errs...))

	lost := make(map[attune.ExecutionID]int)
	for _, report := range b.reported(t) {
		lost[report.Execution]++
	}
	require.Len(t, lost, r.expired)
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

// leaseRace is the shared state of the actors of a race.
type leaseRace struct {
	*bundle
	messages []attune.ExecutionRequestedMessage

	mu       sync.Mutex
	expired  int
	finished map[attune.ExecutionID]int  // how many of its reports had an effect
	kept     map[attune.ExecutionID]bool // its lease was renewed
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

// expire ends expired leases until none is left.
func (r *leaseRace) expire(ctx context.Context, limit int) {
	for {
		n, err := r.executions.ExpireLeases(ctx, limit)
		r.note(err, func() { r.expired += n })
		if n == 0 {
			return
		}
	}
}

// report ends some of the executions, a few at a time.
func (r *leaseRace) report(ctx context.Context, random *rand.Rand, some func(i int) bool) {
	for range 30 {
		var batch []attune.ExecutionCompletedMessage
		for range 10 {
			if i := random.IntN(len(r.messages)); some(i) {
				batch = append(batch, reportOf(r.messages[i]))
			}
		}
		completions, err := r.executions.Finish(ctx, batch)
		r.noteFinished(completions, err)
	}
	var rest []attune.ExecutionCompletedMessage
	for i, message := range r.messages {
		if some(i) {
			rest = append(rest, reportOf(message))
		}
	}
	completions, err := r.executions.Finish(ctx, rest)
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
func (r *leaseRace) ask(ctx context.Context, random *rand.Rand) {
	for range 15 {
		renewal := renewalOf("worker-1")
		var claims []attune.ExecutionClaimMessage
		for _, i := range random.Perm(len(r.messages)) {
			renewal.Attempts = append(renewal.Attempts, attemptOf(r.messages[i]))
			claims = append(claims, claimOf(r.messages[i], "worker-1"))
		}
		replies, err := r.executions.Renew(ctx, []attune.ExecutionRenewMessage{renewal}, lease)
		r.note(err, func() {
			lost := make(map[attune.AttemptID]bool)
			answer := replies[0] // an attempt with a later serial was renewed by another actor
			for _, id := range slices.Concat(answer.Reply.Lost, answer.Forged, answer.Reply.Late) {
				lost[id] = true
			}
			for _, id := range renewal.Attempts {
				r.kept[id.Execution] = r.kept[id.Execution] || !lost[id]
			}
		})
		answers, err := r.executions.Claim(ctx, claims[:10], lease)
		r.note(err, func() {
			for _, answer := range answers {
				r.kept[answer.Reply.Execution] = r.kept[answer.Reply.Execution] || answer.Reply.Granted
			}
		})
	}
}
