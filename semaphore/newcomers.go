package semaphore

import (
	"slices"

	"github.com/attune-go/attune"
)

// replaceOthers ends all but the newest ticket of the lanes in s.replacing, up to the last newcomer whose action has
// [attune.BusyReplace]: the tickets that wait in front of it are cancelled, and the holders are asked to end.
func (s *State) replaceOthers() {
	slices.Sort(s.replacing)
	for _, number := range slices.Compact(s.replacing) {
		waiting, newest := slices.Collect(s.line.inLane(number)), int64(0)
		for _, ticket := range waiting {
			if newcomer(ticket) && s.replaces(ticket) {
				newest = ticket.Sequence
			}
		}
		for _, ticket := range waiting {
			if ticket.Sequence < newest {
				s.line.remove(ticket)
				s.settle(ticket, attune.EnforcementCancelled, attune.ReasonReplaced)
			}
		}
		for i := range s.holders {
			if holder := &s.holders[i]; holder.Lane == number && holder.Sequence < newest {
				holder.Replaced = true
			}
		}
	}
	s.replacing = s.replacing[:0]
}

// ToEnd returns up to n grants whose holders must be asked to end, because later newcomers of their lanes replace them. The caller
// asks, and calls [State.AskedToEnd]. The holders keep their slots until they are released.
func (s *State) ToEnd(n int) []attune.Grant {
	var grants []attune.Grant
	for _, holder := range s.holders {
		if len(grants) < n && holder.Replaced && !holder.AskedToEnd && holder.SettledBefore <= s.recorded {
			grants = append(grants, holder.Grant)
		}
	}
	return grants
}

// AskedToEnd marks the holders of grants as asked to end.
func (s *State) AskedToEnd(grants []attune.Grant) {
	for _, grant := range grants {
		if i := s.holderOf(grant.Ticket); i >= 0 {
			s.holders[i].AskedToEnd = true
		}
	}
}

// bound applies [attune.BusySkip], the bounds of the lanes and the bound of the line to the newcomers that joined in this
// operation, and reports whether a ticket left. For each newcomer that is one too many, one ticket leaves.
func (s *State) bound() (left bool) {
	before := len(s.settling)
	newcomers := slices.DeleteFunc(s.joined, func(t attune.Ticket) bool { return s.line.find(t) < 0 }) // granted or expired
	if s.policy.Overflow != attune.OverflowDropOldest {
		slices.Reverse(newcomers) // the last newcomer leaves first
	}
	for _, leave := range []func(attune.Ticket){s.leaveBusy, s.leaveLane, s.leaveLine} {
		for _, ticket := range newcomers {
			if len(s.settling) == before || s.line.find(ticket) >= 0 { // not gone for another newcomer
				leave(ticket)
			}
		}
	}
	s.joined = s.joined[:0]
	s.countWaiting(before)
	return len(s.settling) > before
}

// leaveBusy rejects a newcomer that must not wait.
func (s *State) leaveBusy(newcomer attune.Ticket) {
	if s.limits(newcomer).WhenBusy == attune.BusySkip {
		s.drop(newcomer, attune.ReasonBusy, s.busyBound(newcomer))
	}
}

// busyBound returns the widest bound that a waiting ticket meets.
func (s *State) busyBound(ticket attune.Ticket) attune.Bound {
	for _, obstacle := range s.Obstacles(ticket) {
		return obstacle.bound()
	}
	return attune.Bound{Name: attune.BoundLine}
}

// leaveLane removes a ticket from a lane that is too long.
func (s *State) leaveLane(newcomer attune.Ticket) {
	most, lane := s.limits(newcomer).MaxQueuedPerKey, s.line.levels.lane(newcomer.Lane)
	if most == nil || lane.waiting <= *most {
		return
	}
	bound := attune.Bound{Name: attune.BoundMaxQueuedPerKey, Limit: *most}
	if s.policy.Overflow == attune.OverflowDropOldest {
		s.drop(s.line.waiters[lane.first].Ticket, attune.ReasonDroppedOldest, bound)
		return
	}
	s.drop(newcomer, attune.ReasonKeyQueueFull, bound)
}

// leaveLine removes a ticket from a line that is too long. [attune.OverflowDropOldest] drops from the lane of the newcomer first, so
// that one key cannot remove the tickets of all others.
func (s *State) leaveLine(newcomer attune.Ticket) {
	if s.line.length <= s.policy.MaxQueued {
		return
	}
	bound := attune.Bound{Name: attune.BoundMaxQueued, Limit: s.policy.MaxQueued}
	if s.policy.Overflow != attune.OverflowDropOldest {
		s.drop(newcomer, attune.ReasonQueueFull, bound)
		return
	}
	oldest := s.line.waiters[s.line.levels.lane(newcomer.Lane).first].Ticket
	if oldest.Same(newcomer) {
		oldest = s.line.waiters[s.line.first].Ticket
	}
	s.drop(oldest, attune.ReasonDroppedOldest, bound)
}

// drop rejects a waiting ticket.
func (s *State) drop(ticket attune.Ticket, reason attune.Reason, bound attune.Bound) {
	s.line.remove(ticket)
	s.reject(ticket, reason, bound)
}

// countWaiting completes the bounds of the settlements from an index on: they count what waits after the operation.
func (s *State) countWaiting(from int) {
	for _, refused := range s.settling[from:] {
		if name := refused.Bound.Name; name == attune.BoundMaxQueued {
			refused.Bound.Count = s.line.length
		} else if name == attune.BoundMaxQueuedPerKey {
			refused.Bound.Count = s.line.levels.lane(refused.Lane).waiting
		}
	}
}

// replaces reports whether a ticket's action has [attune.BusyReplace].
func (s *State) replaces(ticket attune.Ticket) bool {
	return s.limits(ticket).WhenBusy == attune.BusyReplace
}

// limits returns the limits of a ticket's action.
func (s *State) limits(ticket attune.Ticket) attune.ActionPolicy {
	return s.line.levels.limits[ticket.Action]
}
