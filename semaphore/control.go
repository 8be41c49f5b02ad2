package semaphore

import (
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// SetMode changes what the queue does with those who come and those who wait. While it is paused, waiting time goes on, and
// so do deadlines. Setting the mode it has changes nothing.
func (s *State) SetMode(now time.Time, author attune.Author, mode attune.QueueMode) {
	if mode == s.mode {
		return
	}
	s.log(attune.QueueChange{At: now, Author: author, Kind: attune.ChangeMode, From: string(s.mode), To: string(mode)})
	s.mode = mode
	s.decide(now)
}

// SetOverride puts a limit in force instead of the policy's, or gives it back to the policy (nil). It grants and drains like
// a change of policy. An override that has run out already is gone at once.
func (s *State) SetOverride(now time.Time, author attune.Author, override *attune.LimitOverride) {
	from := s.limitText()
	s.override = override
	if to := s.limitText(); to != from {
		s.log(attune.QueueChange{At: now, Author: author, Kind: attune.ChangeLimit, From: from, To: to})
	}
	s.decide(now)
}

// Cancel takes a ticket out of the line that it waits in, or would have come to, and settles it as cancelled. A ticket that
// holds a slot keeps it: ending its execution is what frees the slot.
func (s *State) Cancel(now time.Time, author attune.Author, ticket attune.Ticket) {
	if !s.dropWaiting(ticket) {
		s.counters.Unknown++
		return
	}
	s.settle(ticket, attune.EnforcementCancelled, attune.ReasonCancelled)
	s.log(attune.QueueChange{
		At: now, Author: author, Kind: attune.ChangeCancel, Enforcement: ticket.Enforcement,
		From: string(attune.EnforcementQueued), To: string(attune.EnforcementCancelled),
	})
	s.admitArrived()
	s.decide(now)
}

func (s *State) log(change attune.QueueChange) {
	s.changes++
	change.Number = s.changes
	s.unlogged = append(s.unlogged, change)
}

func (s *State) limitText() string {
	switch {
	case s.override == nil:
		return fmt.Sprintf("%d by policy", s.policy.Limit)
	case s.override.Until.IsZero():
		return fmt.Sprintf("%d by hand", s.override.Limit)
	default:
		return fmt.Sprintf("%d by hand until %s", s.override.Limit, s.override.Until.UTC().Format(time.RFC3339))
	}
}
