package postgres_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestQueues_RebuildRacesWithRequests rebuilds a queue repeatedly while its grants are acted upon. Either a grant of the
// previous generation was acted upon and the rebuilt queue has it, or it was fenced off and its ticket still waits.
func TestQueues_RebuildRacesWithRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const tickets, batch = 400, 40
	random := rand.New(rand.NewPCG(1, 2))
	b.admit(t, b.bulk(t, tickets, deploy)...)
	snapshot := b.rebuild(t)
	require.Len(t, snapshot.Waiting, tickets)
	acted, fenced, rounds := 0, 0, 0
	for ; len(snapshot.Waiting) > 0; rounds++ {
		require.Less(t, rounds, tickets, "%d were acted upon, %d fenced off", acted, fenced)
		race := b.race(t, snapshot, snapshot.Waiting[:min(batch, len(snapshot.Waiting))], random.IntN(batch))
		for i, request := range race.requests {
			id := race.grants[i].Enforcement
			switch holds, waits := holding(race.next, id), waiting(race.next, id); {
			case request.Fenced:
				fenced++
				require.True(t, waits && !holds, "enforcement %d: its grant was fenced off", id)
			default:
				acted++
				require.NotNil(t, request.Message)
				require.True(t, holds && !waits || race.finished[id] && !holds && !waits, "enforcement %d: its grant was acted upon", id)
			}
		}
		snapshot = race.next
	}
	require.Equal(t, tickets, acted)
	require.Positive(t, fenced, "no rebuild came in between in %d rounds", rounds)
	require.EqualValues(t, rounds+1, snapshot.Generation)
	require.EqualValues(t, tickets, b.count(t, `SELECT count(*) FROM grants`))
	require.NoError(t, addsUp(b.stats(t)))
}

// raced is the result of grants that were acted upon while the queue was rebuilt.
type raced struct {
	grants   []attune.Grant
	requests []attune.ExecutionRequest
	next     attune.QueueSnapshot
	finished map[attune.EnforcementID]bool
}

// race acts upon grants of tickets from all sides, and rebuilds the queue when so many answers have come. Some executions
// end in between.
func (b *bundle) race(t *testing.T, from attune.QueueSnapshot, tickets []attune.Ticket, answers int) raced {
	t.Helper()
	r := raced{
		grants: make([]attune.Grant, len(tickets)), requests: make([]attune.ExecutionRequest, len(tickets)),
		finished: make(map[attune.EnforcementID]bool),
	}
	errs := make([]error, len(tickets)+1)
	indices := make(chan int, len(tickets))
	for i, ticket := range tickets {
		r.grants[i] = grant(ticket)
		r.grants[i].Generation, r.grants[i].Number = from.Generation, from.LastGrant+int64(i)+1
		r.finished[ticket.Enforcement] = i%5 == 0
		indices <- i
	}
	close(indices)
	var answered atomic.Int64
	var once sync.Once
	now := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		<-now
		r.next, errs[len(tickets)] = b.queues.Rebuild(t.Context(), queueKey)
	})
	for range 8 {
		wg.Go(func() {
			for i := range indices {
				r.requests[i], errs[i] = b.executions.Request(t.Context(), queueKey, r.grants[i])
				if message := r.requests[i].Message; i%5 == 0 && message != nil {
					_, err := b.executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{reportOf(*message)})
					errs[i] = errors.Join(errs[i], err)
				}
				if answered.Add(1) > int64(answers) {
					once.Do(func() { close(now) })
				}
			}
			once.Do(func() { close(now) })
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	return r
}

func holding(snapshot attune.QueueSnapshot, id attune.EnforcementID) bool {
	return slices.ContainsFunc(snapshot.Holders, func(g attune.Grant) bool { return g.Enforcement == id })
}

func waiting(snapshot attune.QueueSnapshot, id attune.EnforcementID) bool {
	return slices.ContainsFunc(snapshot.Waiting, func(t attune.Ticket) bool { return t.Enforcement == id })
}
