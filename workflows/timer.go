package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// shortestTimer bounds how often a queue can wake itself.
const shortestTimer = 100 * time.Millisecond

// timer wakes the queue at the next deadline.
type timer struct {
	future workflow.Future
	cancel workflow.CancelFunc
	at     time.Time
}

func (t *timer) fired() bool { return t.future != nil && t.future.IsReady() }

// set wakes the queue at the given time or earlier; a zero time sets no timer. An earlier timer stays, because moving it costs
// two events, while firing it costs one turn without work. The deadlines of a busy queue move with every turn.
func (t *timer) set(ctx workflow.Context, at time.Time) {
	if t.fired() {
		t.future = nil
	}
	if at.IsZero() || t.future != nil && !at.Before(t.at) {
		return
	}
	if t.future != nil {
		t.cancel()
	}
	timerCtx, cancel := workflow.WithCancel(ctx)
	delay := max(at.Sub(workflow.Now(ctx)), shortestTimer)
	t.future = workflow.NewTimerWithOptions(timerCtx, delay, workflow.TimerOptions{Summary: "next deadline"})
	t.cancel, t.at = cancel, at
}
