package semaphore

import (
	"cmp"
	"slices"

	"github.com/attune-go/attune"
)

// ActionCount counts the tickets of one action in the queue.
type ActionCount struct {
	attune.ActionPolicy
	Waiting int // tickets in line, without those behind a gap
	Active  int // slots held
}

// Actions counts the actions of the policy, and those with tickets, in the order of their ids.
func (s *State) Actions() []ActionCount {
	counts := make([]ActionCount, len(s.policy.Actions))
	for i, of := range s.policy.Actions {
		counts[i].ActionPolicy = of
	}
	for _, a := range s.line.levels.actionList {
		i := slices.IndexFunc(counts, func(c ActionCount) bool { return c.Action == a.id })
		if i < 0 && a.waiting+a.holders == 0 {
			continue
		}
		if i < 0 {
			i, counts = len(counts), append(counts, ActionCount{ActionPolicy: attune.ActionPolicy{Action: a.id}})
		}
		counts[i].Waiting, counts[i].Active = a.waiting, a.holders
	}
	slices.SortFunc(counts, func(a, b ActionCount) int { return cmp.Compare(a.Action, b.Action) })
	return counts
}
