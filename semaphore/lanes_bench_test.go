package semaphore_test

import (
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
