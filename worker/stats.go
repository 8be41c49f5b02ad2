package worker

import (
	"sync/atomic"

	"github.com/attune-go/attune"
)

// Stats counts what a worker does. The counters start at zero and only grow.
type Stats struct {
	Slots int // how many actions may run at once
	Busy  int // slots with a request that is being claimed, run or reported

	Claimed    int64 // attempts that were granted
	Refused    int64 // requests that were dropped because the claim was refused
	Duplicates int64 // requests that were dropped because the same attempt was claimed here before

	// The outcomes: their sum is Claimed minus the actions that run right now.
	Succeeded, Failed, TimedOut, Cancelled, Abandoned int64

	// Lost counts leases that ran out or were lost while their action had not ended, which was ended for it. An action that
	// was being ended already keeps its outcome.
	Lost int64

	Unreported int64 // outcomes that could not be published before the worker had to stop
}

// counters are the live numbers behind [Stats].
type counters struct {
	busy                                              atomic.Int64
	claimed, refused, duplicates                      atomic.Int64
	succeeded, failed, timedOut, cancelled, abandoned atomic.Int64
	unreported                                        atomic.Int64
}

// ended counts an outcome.
func (c *counters) ended(status attune.ExecutionStatus) {
	switch status {
	case attune.ExecutionSucceeded:
		c.succeeded.Add(1)
	case attune.ExecutionTimedOut:
		c.timedOut.Add(1)
	case attune.ExecutionCancelled:
		c.cancelled.Add(1)
	case attune.ExecutionAbandoned:
		c.abandoned.Add(1)
	default:
		c.failed.Add(1)
	}
}

// Stats returns the numbers of this instant. Each is exact; together they are not one snapshot.
func (w *Worker) Stats() Stats {
	c := &w.counters
	return Stats{
		Slots:      w.cfg.Slots,
		Busy:       int(c.busy.Load()),
		Claimed:    c.claimed.Load(),
		Refused:    c.refused.Load(),
		Duplicates: c.duplicates.Load(),
		Succeeded:  c.succeeded.Load(),
		Failed:     c.failed.Load(),
		TimedOut:   c.timedOut.Load(),
		Cancelled:  c.cancelled.Load(),
		Abandoned:  c.abandoned.Load(),
		Lost:       w.keeper.lost.Load(),
		Unreported: c.unreported.Load(),
	}
}
