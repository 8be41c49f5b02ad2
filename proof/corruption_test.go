package proof_test

import (
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// corruption is one way to falsify rows. apply reports whether it could falsify them. prepare makes that likely, if chance does
// not.
type corruption struct {
	name    string
	apply   func(t *rapid.T, r *rows) bool
	prepare func(*history)
	unclear bool // the rows cannot always judge it: then the report says so
}

func corruptions() []corruption {
	return []corruption{
		{name: "two sequences are swapped", apply: swapSequences},
		{name: "two decisions are swapped", apply: swapDecisions, prepare: (*history).oneAfterTheOther, unclear: true},
		{name: "a grant is duplicated", apply: duplicateGrant},
		{name: "an interval exceeds the limit", apply: extendInterval, prepare: (*history).oneAfterTheOther},
		{name: "a ticket is dropped", apply: dropTicket},
		{name: "a release is dropped", apply: dropRelease},
		{name: "a grant is dropped", apply: dropGrant},
		{name: "a counter is wrong", apply: wrongCounter},
		{name: "an attempt is repeated", apply: repeatAttempt, prepare: (*history).goBack},
		{name: "an older generation decides again", apply: olderGeneration, prepare: (*history).oneAfterTheOther},
		{name: "an outcome differs", apply: anotherOutcome, prepare: (*history).oneAfterTheOther},
		{name: "a change is dropped", apply: dropChange, prepare: (*history).pauseAndGoOn},
		{name: "a change starts from another mode", apply: breakChange, prepare: (*history).pauseAndGoOn},
		{name: "the mode differs", apply: anotherMode},
		{name: "a grant is decided while the queue is paused", apply: grantWhilePaused, prepare: (*history).pauseAndGoOn},
		{name: "a grant is decided at another limit", apply: grantAtAnotherLimit, prepare: (*history).limitByHand},
		{name: "a grant is decided after a cancel", apply: grantAfterCancel, prepare: (*history).pauseAndGoOn},
		{name: "a lane differs", apply: anotherLane, prepare: (*history).oneAfterTheOther},
	}
}

func swapSequences(t *rapid.T, r *rows) bool {
	if len(r.Grants) < 2 {
		return false
	}
	pair := rapid.Permutation(r.Grants).Draw(t, "pair")[:2]
	for i := range r.Grants {
		switch r.Grants[i].Number {
		case pair[0].Number:
			r.Grants[i].Sequence = pair[1].Sequence
		case pair[1].Number:
			r.Grants[i].Sequence = pair[0].Sequence
		}
	}
	return true
}

// swapDecisions grants two tickets in the wrong order, consistently in all rows.
func swapDecisions(t *rapid.T, r *rows) bool {
	if len(r.Grants) < 2 {
		return false
	}
	order := rapid.Permutation([]int{0, len(r.Grants) - 1, len(r.Grants) / 2}).Draw(t, "pair")
	a, b := &r.Grants[order[0]], &r.Grants[order[1]]
	if a == b {
		return false
	}
	r.swapNumbers(a, b)
	return true
}

// swapNumbers gives each of two grants the number of the other, in the log and in the rows of their current places.
func (r *rows) swapNumbers(a, b *attune.LoggedGrant) {
	a.Number, b.Number = b.Number, a.Number
	for _, grant := range []*attune.LoggedGrant{a, b} {
		if e := r.byID(grant.Enforcement); e.Sequence == grant.Sequence {
			e.GrantNumber = grant.Number
		}
	}
}

func duplicateGrant(t *rapid.T, r *rows) bool {
	if len(r.Grants) == 0 {
		return false
	}
	again := rapid.SampledFrom(r.Grants).Draw(t, "grant")
	if rapid.Bool().Draw(t, "with a number of its own") {
		again.Number = highest(r) + 1
	}
	r.Grants = append(r.Grants, again)
	return true
}

func highest(r *rows) int64 {
	n := int64(0)
	for _, grant := range r.Grants {
		n = max(n, grant.Number)
	}
	return n
}

// extendInterval lets a grant keep its slot while a later grant took the last free slot.
func extendInterval(t *rapid.T, r *rows) bool {
	type pair struct{ longer, later int }
	var pairs []pair
	for j, later := range r.Grants {
		held := 0
		var before []int
		for i, grant := range r.Grants {
			switch {
			case grant.Number >= later.Number:
			case grant.ReleasedAt == nil || grant.ReleasedAt.After(later.RequestedAt):
				held++
			default:
				before = append(before, i)
			}
		}
		if held == later.Limit-1 {
			for _, i := range before {
				pairs = append(pairs, pair{i, j})
			}
		}
	}
	if len(pairs) == 0 {
		return false
	}
	chosen := rapid.SampledFrom(pairs).Draw(t, "interval")
	r.Grants[chosen.longer].ReleasedAt = new(r.Grants[chosen.later].RequestedAt.Add(time.Microsecond))
	return true
}

func dropTicket(t *rapid.T, r *rows) bool {
	if len(r.Enforcements) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(r.Enforcements)-1).Draw(t, "ticket")
	r.Enforcements = slices.Delete(r.Enforcements, i, i+1)
	return true
}

func dropRelease(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(g attune.LoggedGrant) bool { return g.ReleasedAt != nil })
	if grant == nil {
		return false
	}
	grant.ReleasedAt = nil
	return true
}

// pick draws one of the matching elements.
func pick[T any](t *rapid.T, all []T, match func(T) bool) *T {
	var found []*T
	for i := range all {
		if match(all[i]) {
			found = append(found, &all[i])
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[rapid.IntRange(0, len(found)-1).Draw(t, "pick")]
}

func dropGrant(t *rapid.T, r *rows) bool {
	if len(r.Grants) == 0 {
		return false
	}
	i := rapid.IntRange(0, len(r.Grants)-1).Draw(t, "grant")
	r.Grants = slices.Delete(r.Grants, i, i+1)
	return true
}

func wrongCounter(t *rapid.T, r *rows) bool {
	counters := []*int64{
		&r.Stats.TotalEnqueued, &r.Stats.QueueLength, &r.Stats.ActiveCount, &r.Stats.TotalCompleted, &r.Stats.TotalDropped,
	}
	*rapid.SampledFrom(counters).Draw(t, "counter") += rapid.SampledFrom([]int64{-1, 1}).Draw(t, "by")
	return true
}

// repeatAttempt gives a grant the attempt of the enforcement's previous grant.
func repeatAttempt(t *rapid.T, r *rows) bool {
	former := pick(t, r.Grants, func(g attune.LoggedGrant) bool {
		return slices.ContainsFunc(r.Grants, func(o attune.LoggedGrant) bool {
			return o.Enforcement == g.Enforcement && o.Sequence > g.Sequence
		})
	})
	if former == nil {
		return false
	}
	for i := range r.Grants {
		if r.Grants[i].Enforcement == former.Enforcement {
			r.Grants[i].Attempt = former.Attempt
		}
	}
	return true
}

// olderGeneration makes the first generation decide after a later one.
func olderGeneration(t *rapid.T, r *rows) bool {
	if len(r.Grants) < 2 {
		return false
	}
	i := rapid.IntRange(0, len(r.Grants)-2).Draw(t, "grant")
	grants := slices.SortedFunc(slices.Values(r.Grants), func(a, b attune.LoggedGrant) int { return int(a.Number - b.Number) })
	grants[i].Generation = grants[len(grants)-1].Generation + 1
	r.Grants = grants
	return true
}

func anotherOutcome(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(g attune.LoggedGrant) bool { return g.Outcome.Terminal() })
	if grant == nil {
		return false
	}
	r.outcome(grant.Enforcement, attune.ExecutionRetrying)
	return true
}

func dropChange(t *rapid.T, r *rows) bool {
	if len(r.Changes) < 2 {
		return false
	}
	i := rapid.IntRange(0, len(r.Changes)-2).Draw(t, "change")
	r.Changes = slices.Delete(r.Changes, i, i+1)
	return true
}

// breakChange makes a change start from a mode that was not in force.
func breakChange(t *rapid.T, r *rows) bool {
	change := pick(t, r.Changes, func(c attune.QueueChange) bool { return c.Kind == attune.ChangeMode })
	if change == nil {
		return false
	}
	modes := []string{string(attune.QueueOpen), string(attune.QueuePaused), string(attune.QueueDraining)}
	change.From = *pick(t, modes, func(mode string) bool { return mode != change.From && mode != change.To })
	return true
}

func anotherMode(t *rapid.T, r *rows) bool {
	modes := []attune.QueueMode{attune.QueueOpen, attune.QueuePaused, attune.QueueDraining}
	r.Stats.Mode = *pick(t, modes, func(mode attune.QueueMode) bool { return mode != r.Stats.Mode })
	return true
}

// next returns the next change of the same kind, if the generation of the grant certainly made it.
func next(r *rows, change attune.QueueChange, generation int64) *attune.QueueChange {
	i := slices.IndexFunc(r.Changes, func(c attune.QueueChange) bool { return c.Kind == change.Kind && c.Number > change.Number })
	if i < 0 || !slices.ContainsFunc(r.Grants, func(g attune.LoggedGrant) bool {
		return g.Generation == generation && !g.GrantedAt.Before(r.Changes[i].At)
	}) {
		return nil
	}
	return &r.Changes[i]
}

// grantWhilePaused moves a grant into a pause whose end its generation has seen.
func grantWhilePaused(t *rapid.T, r *rows) bool {
	type choice struct {
		grant int
		at    time.Time
	}
	var cases []choice
	for _, change := range r.Changes {
		if change.To != string(attune.QueuePaused) {
			continue
		}
		for i, grant := range r.Grants {
			moved := rows{r.Rows}
			moved.Grants = slices.Delete(slices.Clone(r.Grants), i, i+1)
			if end := next(&moved, change, grant.Generation); end != nil && end.At.Sub(change.At) > time.Microsecond {
				cases = append(cases, choice{i, change.At.Add(time.Microsecond)})
			}
		}
	}
	if len(cases) == 0 {
		return false
	}
	chosen := cases[rapid.IntRange(0, len(cases)-1).Draw(t, "case")]
	r.Grants[chosen.grant].GrantedAt = chosen.at
	return true
}

// grantAtAnotherLimit gives a grant another limit than the manual limit in force.
func grantAtAnotherLimit(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(g attune.LoggedGrant) bool {
		return slices.ContainsFunc(r.Changes, func(c attune.QueueChange) bool {
			end := next(r, c, g.Generation)
			return c.Kind == attune.ChangeLimit && len(c.To) == len("1 by hand") && g.GrantedAt.After(c.At) &&
				end != nil && g.GrantedAt.Before(end.At)
		})
	})
	if grant == nil {
		return false
	}
	grant.Limit += 5
	return true
}

// grantAfterCancel records a cancel before the grant of the same ticket.
func grantAfterCancel(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(g attune.LoggedGrant) bool {
		return slices.ContainsFunc(r.Grants, func(o attune.LoggedGrant) bool {
			return o.Generation == g.Generation && o.GrantedAt.Before(g.GrantedAt)
		})
	})
	if grant == nil {
		return false
	}
	r.Changes = append(r.Changes, attune.QueueChange{
		Number: int64(len(r.Changes) + 1), At: grant.GrantedAt.Add(-time.Microsecond), Author: author, Kind: attune.ChangeCancel,
		From: string(attune.EnforcementQueued), To: string(attune.EnforcementCancelled), Enforcement: grant.Enforcement,
	})
	return true
}

// anotherLane gives a grant another lane than its ticket's.
func anotherLane(t *rapid.T, r *rows) bool {
	grant := pick(t, r.Grants, func(attune.LoggedGrant) bool { return true })
	if grant == nil {
		return false
	}
	grant.Lane++
	return true
}
