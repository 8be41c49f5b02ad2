package api

import (
	"github.com/attune-go/attune"
	"github.com/attune-go/attune/forecast"
)

// Estimate is the estimated rest of a wait: see the documentation of package forecast.
type Estimate struct {
	Low    attune.Duration `json:"low" doc:"Nine of ten waits end between low and high"`
	Likely attune.Duration `json:"likely"`
	High   attune.Duration `json:"high"`
	Waits  int             `json:"waits" doc:"How many recorded waits of the queue the interval was checked on"`
}

func showEstimate(e forecast.Estimate) *Estimate {
	return &Estimate{
		Low: attune.Duration(e.Low), Likely: attune.Duration(e.Likely), High: attune.Duration(e.High), Waits: e.Waits,
	}
}

// estimateOf estimates the rest of a wait, or says why there is no estimate.
func estimateOf(w attune.Wait) (*Estimate, string) {
	switch {
	case w.Mode == attune.QueuePaused:
		return nil, "the queue is paused"
	case w.Limit() == 0:
		return nil, "the limit of the queue is 0"
	}
	spot := forecast.Spot{Queue: levelOf(w.Queue, w.Limit())}
	if limit := w.Policy.Of(w.Ticket.Action).Limit; limit != nil {
		spot.Action = new(levelOf(w.Action, *limit))
	}
	if limit := w.LaneLimit(); limit != nil {
		spot.Lane = new(levelOf(w.Lane, *limit))
		if w.Policy.Across == attune.AcrossSkip {
			spot.Queue.Ahead = int(w.First)
		}
	}
	if spot.Action != nil && spot.Action.Limit == 0 || spot.Lane != nil && spot.Lane.Limit == 0 {
		return nil, "the limit of its action or lane is 0"
	}
	estimate, err := forecast.Wait(forecast.Question{
		At: w.At, Waited: w.At.Sub(w.Ticket.EnqueuedAt), Spot: spot, Policy: w.Policy, Grants: w.Latest,
	})
	if err != nil {
		return nil, err.Error()
	}
	return showEstimate(estimate), ""
}

func levelOf(count attune.LevelCount, limit int) forecast.Level {
	return forecast.Level{Ahead: int(count.Ahead), Active: int(count.Active), Limit: limit}
}

// emptyIn estimates when the last enforcement in line is granted; nil without one, or without an estimate. In a queue with limits per key
// the longest lane can be the slowest part.
func emptyIn(s attune.QueueDetail) *Estimate {
	if s.Stats.Mode == attune.QueuePaused || s.Stats.MaxConcurrent == 0 || s.Stats.QueueLength == 0 {
		return nil
	}
	last := attune.LevelCount{Ahead: s.Stats.QueueLength - 1, Active: s.Stats.ActiveCount}
	spot := forecast.Spot{Queue: levelOf(last, s.Stats.MaxConcurrent)}
	for _, action := range s.Policy.Actions {
		limit := action.LimitPerKey
		if limit != nil && *limit > 0 && s.LongestLane > 0 && (spot.Lane == nil || *limit < spot.Lane.Limit) {
			spot.Lane = &forecast.Level{Ahead: int(s.LongestLane - 1), Active: *limit, Limit: *limit}
		}
	}
	estimate, err := forecast.Wait(forecast.Question{At: s.At, Spot: spot, Policy: s.Policy, Grants: s.Latest})
	if err != nil {
		return nil
	}
	return showEstimate(estimate)
}
