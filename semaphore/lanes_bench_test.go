package semaphore_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// turnover is a full queue: per turn a holder is released, a ticket arrives, and the queue grants one.
type turnover struct {
	state   *semaphore.State
	lanes   int32
	last    int64 // sequence
	holders []attune.Ticket
	spent   time.Duration
}

func newTurnover(lanes int32, waiting, limit int) *turnover {
	q := &turnover{lanes: lanes, state: semaphore.New(attune.QueueSnapshot{Policy: attune.QueuePolicy{
		Revision: 1, Limit: limit, MaxQueued: attune.MaxQueuedLimit, Across: attune.AcrossSkip,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: &limit}},
	}})}
	for range waiting + limit {
		q.acquire()
	}
	q.deliver()
	return q
}

func (q *turnover) acquire() {
	q.last++
	lane := int32(q.last*7919) % q.lanes
	q.state.Acquire(start, []attune.Ticket{ticketIn(lane, q.last)})
}

func (q *turnover) deliver() {
	grants := q.state.Deliverable(attune.MaxLimit)
	for _, grant := range grants {
		q.holders = append(q.holders, grant.Ticket)
	}
	q.state.Delivered(grants)
}

func (q *turnover) turns(n int) {
	begin := time.Now()
	for range n {
		q.state.Release(start, q.holders[:1])
		q.holders = q.holders[1:]
		q.acquire()
		q.deliver()
	}
	q.spent += time.Since(begin)
}

// BenchmarkState_Lanes compares a grant in a queue of 10 000 lanes with one in a queue of a single lane, 10 000 waiting in each. The
// two take turns, so that a busy machine slows down both.
func BenchmarkState_Lanes(b *testing.B) {
	const waiting, limit, batch = 10_000, 50, 100
	one, many := newTurnover(1, waiting, limit), newTurnover(10_000, waiting, limit)
	turns := 0
	for b.Loop() {
		one.turns(batch)
		many.turns(batch)
		turns += batch
	}
	perTurn := func(q *turnover) float64 { return float64(q.spent.Nanoseconds()) / float64(turns) }
	b.ReportMetric(perTurn(one), "ns/grant-1-lane")
	b.ReportMetric(perTurn(many), "ns/grant-10000-lanes")
	b.ReportMetric(perTurn(many)/perTurn(one), "ratio")
}

// BenchmarkState_Releases measures a turn in which many holders of a queue at the highest limit are released at once, in any order.
func BenchmarkState_Releases(b *testing.B) {
	const releases = 500
	q := newTurnover(100, 10_000, attune.MaxLimit)
	random := rand.New(rand.NewPCG(1, 2))
	b.ResetTimer()
	for b.Loop() {
		random.Shuffle(len(q.holders), func(i, j int) { q.holders[i], q.holders[j] = q.holders[j], q.holders[i] })
		q.state.Release(start, q.holders[:releases])
		q.holders = q.holders[releases:]
		b.StopTimer()
		for range releases {
			q.acquire()
		}
		q.deliver()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*releases), "ns/release")
}
