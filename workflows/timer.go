package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"
)

// shortestTimer keeps a queue from waking itself again and again, whatever deadlines it finds.
const shortestTimer = 100 * time.Millisecond

// timer wakes the queue when the state wants it.
type timer struct {
	future workflow.Future
	cancel workflow.CancelFunc
	at     time.Time
}

func (t *timer) fired() bool { return t.future != nil && t.future.IsReady() }

// set makes the queue wake at the given time or earlier; a zero time wants nothing. A timer that is set for an earlier time
// stays: it costs a turn that finds nothing to do, where moving it costs two events. The deadlines of a busy queue move on
// with every turn.
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
