package replay

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// History is what the rows say about one queue and one period. Times are of the database's clock, except those of decisions and
// of manual changes, which are of the queue's clock.
type History struct {
	From, To time.Time
	// Places are the places in the line that waited or held their slots in the period: those that were assigned before To, and
	// were not given back and had not ended at From. They are in sequence order.
	Places []Place
	// Refused are the arrivals of the period that a rate or a quota has rejected. They have no place: their sequence is 0, and they are
	// in the order of their times.
	Refused []Place
	// Grants are the grants in number order, from the first one of the period to the last one of the places.
	Grants []attune.LoggedGrant
	// Changes are the manual changes from From on, in number order.
	Changes []attune.QueueChange
	// Policies are the policies in force from From on, in the order of their revisions. The first one was in force at From.
	Policies []Policy
	// Mode and Override are the mode and the manual limit at From.
	Mode     attune.QueueMode
	Override *attune.LimitOverride
}

// Policy is a policy and when it was resolved. The queue was told a moment later.
type Policy struct {
	attune.QueuePolicy
	At time.Time
}

// Place is one place of one enforcement in the line. An enforcement has one place at a time; a retry at the back takes another.
type Place struct {
	attune.Ticket                     // the attempt is that which the place asked for, from 1
	Grant         *attune.LoggedGrant // nil if the place was never granted
	// Status, Reason and EndedAt are the end of a place without a grant; Status is empty while it waits.
	Status  attune.EnforcementStatus
	Reason  attune.Reason
	EndedAt time.Time
}

// heldAt reports whether the place had its grant at a time.
func (p Place) heldAt(t time.Time) bool { return p.Grant != nil && p.Grant.GrantedAt.Before(t) }

// Lag is how long the queue usually takes to learn of an event and to decide about it: the median over the recorded grants of the
// time since the latest arrival or release that the grant needed. The clocks of the database and of the queue differ, so it can be
// negative.
func (h History) Lag() time.Duration {
	released := h.released()
	var lags []time.Duration
	for _, grant := range h.Grants {
		needed := grant.EnqueuedAt
		for _, sequence := range grant.Freed {
			if at, known := released[sequence]; known && at.After(needed) {
				needed = at
			}
		}
		lags = append(lags, grant.GrantedAt.Sub(needed))
	}
	return quantile(lags, 0.5)
}

// released returns when the places gave their slots back, by sequence.
func (h History) released() map[int64]time.Time {
	released := make(map[int64]time.Time, len(h.Grants))
	for _, place := range h.Places {
		if place.Grant != nil && place.Grant.ReleasedAt != nil {
			released[place.Sequence] = *place.Grant.ReleasedAt
		}
	}
	return released
}

// learned returns when the queue learned of the releases of the places, by sequence. A place whose slot was not given back is
// missing. The grants say between which decisions the queue learned of a release.
func (h History) learned(lag time.Duration) map[int64]time.Time {
	learned := h.released()
	for sequence, at := range learned {
		learned[sequence] = at.Add(lag)
	}
	before := h.From
	for _, grant := range h.Grants {
		for _, sequence := range grant.Freed {
			if at, known := learned[sequence]; known {
				learned[sequence] = attune.Later(attune.Earlier(at, grant.GrantedAt), before)
			}
		}
		before = grant.GrantedAt
	}
	return learned
}

// freed returns the sequences of the slots that some recorded grant had seen become free.
func (h History) freed() map[int64]bool {
	freed := map[int64]bool{}
	for _, grant := range h.Grants {
		for _, sequence := range grant.Freed {
			freed[sequence] = true
		}
	}
	return freed
}

// quantile returns the nearest-rank quantile of the values, which it sorts; 0 without any.
func quantile[T cmp.Ordered](values []T, q float64) T {
	if len(values) == 0 {
		var none T
		return none
	}
	slices.Sort(values)
	return values[min(int(q*float64(len(values))), len(values)-1)]
}

// policyOf returns the policy that a grant names, or the one before it.
func (h History) policyOf(grant attune.LoggedGrant) attune.QueuePolicy {
	policy := h.Policies[0].QueuePolicy
	for _, known := range h.Policies {
		if known.Revision <= grant.Revision {
			policy = known.QueuePolicy
		}
	}
	return policy
}

// Cut returns the part of a history that concerns a period. The given history has the places, grants, changes and policies of the
// queue from its beginning, or from before the period. Its Mode and Override are those before its first change.
func (h History) Cut(from, to time.Time) History {
	cut := History{From: from, To: to, Mode: cmp.Or(h.Mode, attune.QueueOpen), Override: h.Override}
	for _, change := range h.Changes {
		switch limit, ok := LimitOf(change.To); {
		case !change.At.Before(from):
			cut.Changes = append(cut.Changes, change)
		case change.Kind == attune.ChangeMode:
			cut.Mode = attune.QueueMode(change.To)
		case change.Kind == attune.ChangeLimit && ok:
			cut.Override = limit
		}
	}
	for _, refused := range h.Refused {
		if !refused.EnqueuedAt.Before(from) && refused.EnqueuedAt.Before(to) {
			cut.Refused = append(cut.Refused, refused)
		}
	}
	first, last := h.grantsOf(from, to)
	freed := map[int64]bool{} // before the period
	for _, grant := range h.Grants {
		switch {
		case grant.Number < first:
			for _, sequence := range grant.Freed {
				freed[sequence] = true
			}
		case grant.Number <= last:
			cut.Grants = append(cut.Grants, grant)
		}
	}
	for _, place := range h.Places {
		if place.concerns(from, to) && !freed[place.Sequence] {
			cut.Places = append(cut.Places, place)
		}
	}
	cut.Policies = h.policiesFrom(from, cut.Grants)
	return cut
}

// grantsOf returns the numbers of the first grant of a period and of the last grant of the places that concern the period.
func (h History) grantsOf(from, to time.Time) (first, last int64) {
	first = math.MaxInt64
	for _, grant := range h.Grants {
		if grant.GrantedAt.Before(from) {
			continue
		}
		first = min(first, grant.Number)
		if grant.EnqueuedAt.Before(to) {
			last = max(last, grant.Number)
		}
	}
	return first, last
}

// learnedAfter is how long after a release the queue has learned of it for sure: it inspects every holder.
const learnedAfter = 3 * semaphore.InspectAfter

// concerns reports whether a place can have waited or held its slot in a period, for what the queue knew.
func (p Place) concerns(from, to time.Time) bool {
	switch {
	case !p.EnqueuedAt.Before(to):
		return false
	case p.Grant != nil:
		return p.Grant.ReleasedAt == nil || p.Grant.ReleasedAt.After(from.Add(-learnedAfter))
	default:
		return p.Status == "" || !p.EndedAt.Before(from)
	}
}

// policiesFrom returns the policies from the one that was in force at a time on. The first grants of the period can name an
// earlier one, because the queue is told of a policy later than the journal.
func (h History) policiesFrom(from time.Time, grants []attune.LoggedGrant) []Policy {
	first := 0
	for i, known := range h.Policies {
		if !known.At.After(from) && (len(grants) == 0 || known.Revision <= grants[0].Revision) {
			first = i
		}
	}
	return h.Policies[first:]
}
