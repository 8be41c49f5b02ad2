package api

import (
	"time"

	"github.com/attune-go/attune"
)

// QueueAction is one action in a shared queue.
type QueueAction struct {
	Ref         attune.Ref      `json:"action_ref"`
	Action      attune.ActionID `json:"action_id"`
	Joined      bool            `json:"joined" doc:"False: the action has left, and its earlier enforcements are still here"`
	Waiting     int64           `json:"waiting" doc:"Enforcements of the action in line"`
	Active      int64           `json:"active" doc:"Slots that the action holds"`
	Limit       *int            `json:"limit,omitempty" doc:"Executions of the action at once, by its own policy; absent when only the queue bounds them"`
	LimitPerKey *int            `json:"limit_per_key,omitempty" doc:"Executions at once per lane, for enforcements of the action; absent without a bound"`
	OldestAt    *time.Time      `json:"oldest_enqueued_at,omitempty" doc:"Since when its first enforcement waits; absent when none waits"`
}

func showActions(s attune.QueueDetail) []QueueAction {
	var shown []QueueAction
	for _, stats := range s.Actions {
		limits := s.Policy.Of(stats.Action)
		shown = append(shown, QueueAction{
			Ref: stats.Ref, Action: stats.Action, Joined: stats.Joined, Waiting: stats.Waiting, Active: stats.Active,
			Limit: limits.Limit, LimitPerKey: limits.LimitPerKey, OldestAt: stats.OldestAt,
		})
	}
	return shown
}
