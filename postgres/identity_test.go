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

// TestQueues_StatsAddUp changes one queue from many sides while a reader checks that the counts of every observation
// describe one instant: every accepted ticket is waiting, active, completed or dropped.
func TestQueues_StatsAddUp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const actors, rounds, batch = 8, 12, 5
	ids := b.created(t, deploy, actors*rounds*batch)
	b.admit(t, b.created(t, deploy, 1)...)

	done, observed := make(chan struct{}), make(chan error, 1)
	go func() { observed <- b.observe(t.Context(), done) }()
	numbers := &grantNumbers{}
	errs := make([]error, actors)
	var wg sync.WaitGroup
	for i, own := range slices.Collect(slices.Chunk(ids, rounds*batch)) {
		wg.Go(func() { errs[i] = b.live(t.Context(), rand.New(rand.NewPCG(1, uint64(i))), own, batch, numbers) })
	}
	wg.Wait()
	close(done)
	require.NoError(t, <-observed)
	require.NoError(t, errors.Join(errs...))

	stats := b.stats(t)
	require.EqualValues(t, actors*rounds*batch+1, stats.TotalEnqueued)
	require.Positive(t, stats.TotalCompleted)
	require.Positive(t, stats.TotalDropped)
	require.NoError(t, addsUp(stats))
	require.Equal(t, b.count(t, `SELECT count(*) FROM enforcements WHERE status = 'executed'`), stats.TotalCompleted)
	require.Equal(t, b.count(t, `SELECT count(*) FROM enforcements WHERE status IN ('cancelled', 'expired')`), stats.TotalDropped)
}

// observe reads the counts until done, at least twenty times.
func (b *bundle) observe(ctx context.Context, done <-chan struct{}) error {
	for observations := 0; ; observations++ {
		stats, err := b.queues.Stats(ctx, queueKey)
		if err != nil {
			return err
		}
		if err := addsUp(stats); err != nil {
			return err
		}
		select {
		case <-done:
			if observations >= 20 {
				return nil
			}
		default:
		}
	}
}

func addsUp(s attune.QueueStats) error {
	if s.TotalEnqueued != s.QueueLength+s.ActiveCount+s.TotalCompleted+s.TotalDropped {
		return attune.Errorf(attune.CodeInternal, "the counts do not add up: %+v", s)
	}
	return nil
}

// grantNumbers assigns each number once.
type grantNumbers struct {
	mu   sync.Mutex
	last int64
}

func (g *grantNumbers) next() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	return g.last
}

// live takes enforcements through random lives: each is admitted, and then some expire, some run, some are cancelled,
// some stay where they are. Every step may be repeated.
func (b *bundle) live(ctx context.Context, random *rand.Rand, ids []attune.EnforcementID, batch int, numbers *grantNumbers) error {
	for chunk := range slices.Chunk(ids, batch) {
		admissions, err := b.enforcements.Admit(ctx, chunk)
		if err != nil {
			return err
		}
		var reports []attune.ExecutionCompletedMessage
		for _, ticket := range admissions[0].Tickets {
			report, err := b.step(ctx, random, ticket, numbers)
			if err != nil {
				return err
			}
			if report != nil {
				reports = append(reports, *report)
			}
		}
		for range 1 + random.IntN(2) {
			if _, err := b.executions.Finish(ctx, reports); err != nil {
				return err
			}
		}
	}
	return nil
}

// step moves one ticket on, and returns the report that ends its execution, if there is one.
func (b *bundle) step(
	ctx context.Context, random *rand.Rand, ticket attune.Ticket, numbers *grantNumbers,
) (*attune.ExecutionCompletedMessage, error) {
	fate := random.IntN(10)
	switch {
	case fate < 1:
		return nil, nil
	case fate < 3:
		settlement := attune.Settlement{Ticket: ticket, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout}
		_, err := b.recordEnds(ctx, queueKey, []attune.Settlement{settlement, settlement})
		return nil, err
	}
	given := grant(ticket)
	given.Number = numbers.next()
	request, err := b.executions.Request(ctx, queueKey, given)
	if err != nil {
		return nil, err
	}
	if fate < 5 {
		_, err := b.executions.Cancel(ctx, request.Message.Execution, ada)
		return nil, err
	}
	_, err = b.executions.Claim(ctx, []attune.ExecutionClaimMessage{claimOf(*request.Message, "worker-1")}, lease)
	if fate < 6 {
		return nil, err
	}
	return new(reportOf(*request.Message)), err
}
