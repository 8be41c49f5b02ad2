package proof

import (
	"iter"
	"slices"
	"sort"
	"time"

	"github.com/attune-go/attune"
)

// passes finds the grants that passed a ticket. Its lists have an element for each decision.
type passes struct {
	decisions []*decision
	highest   []int64     // the highest sequence that the generation granted so far while its policy skipped
	requested []time.Time // the latest request so far

	held  map[attune.ActionID][]holding // of the actions with a limit in some policy
	roomy map[attune.ActionID][]int     // the indices of the decisions at which such an action can have had room
}

// holding is the least and the greatest number of slots that the queue can have counted as held by an action.
type holding struct{ least, most int }

func (c *check) newPasses() *passes {
	p := &passes{decisions: c.decisions, held: map[attune.ActionID][]holding{}, roomy: map[attune.ActionID][]int{}}
	for _, action := range c.limitedActions() {
		p.held[action] = nil
	}
	return p
}

// note adds a decision.
func (p *passes) note(actions map[attune.ActionID]*slots, d *decision) {
	highest, requested := int64(0), d.RequestedAt
	if d.index > d.first {
		highest = p.highest[d.index-1]
	}
	if d.skips() {
		highest = max(highest, d.Sequence)
	}
	if d.index > 0 && p.requested[d.index-1].After(requested) {
		requested = p.requested[d.index-1]
	}
	p.highest, p.requested = append(p.highest, highest), append(p.requested, requested)
	for action := range p.held {
		s := at(actions, action)
		h := s.countedAt(d)
		p.held[action] = append(p.held[action], h)
		if d.skips() && below(h.least, d.policy.Of(action).Limit) {
			p.roomy[action] = append(p.roomy[action], d.index)
		}
	}
}

// below reports whether a number is below a limit; nil is no limit.
func below(n int, limit *int) bool { return limit == nil || n < *limit }

// waiter is a ticket that waited while the queue decided the grants with the indices from first to before end.
type waiter struct {
	sequence   int64
	action     attune.ActionID
	number     int32  // of its lane
	lane       *slots // the slots of its lane that earlier decisions took
	first, end int
}

// verdict says whether a grant passed a ticket that was eligible.
type verdict int

const (
	blocked  verdict = iota // the ticket was not eligible
	unclear                 // the rows do not show whether the queue knew that the ticket was eligible
	eligible                // the ticket was eligible
)

// passed returns the first grant that passed an eligible ticket, or nil. In doubt, some grant may have.
func (c *check) passed(w waiter) (by *decision, doubt bool) {
	for i := range c.passes.candidates(c, w) {
		switch c.judge(c.decisions[i], w) {
		case eligible:
			return c.decisions[i], false
		case unclear:
			doubt = true
		case blocked:
		}
	}
	return nil, doubt
}

// candidates yields the indices of the decisions that can have passed a ticket.
func (p *passes) candidates(c *check, w waiter) iter.Seq[int] {
	// Both lists rise, so the decisions before are of lower sequences, or the lane was full.
	first := w.first + sort.Search(w.end-w.first, func(i int) bool { return p.highest[w.first+i] > w.sequence })
	if limit := c.widestLane(w.action); limit != nil && len(c.manual[w.number]) == 0 {
		full, open := w.lane.fullUntil(*limit)
		if !open {
			return slices.Values[[]int](nil)
		}
		first += sort.Search(w.end-first, func(i int) bool { return !p.requested[first+i].Before(full) })
	}
	if _, limited := p.held[w.action]; !limited {
		return func(yield func(int) bool) {
			for i := first; i < w.end && yield(i); i++ {
			}
		}
	}
	roomy := p.roomy[w.action]
	from, _ := slices.BinarySearch(roomy, first)
	to, _ := slices.BinarySearch(roomy, w.end)
	return slices.Values(roomy[from:to])
}

// judge decides whether a ticket was eligible at a decision.
func (c *check) judge(d *decision, w waiter) verdict {
	if !d.skips() || d.Sequence < w.sequence {
		return blocked
	}
	limits := d.policy.Of(w.action)
	ofLane := c.laneLimits(d, w.number, limits.LimitPerKey)
	inLane := w.lane.countedAt(d)
	ofAction := holding{}
	if held, limited := c.passes.held[w.action]; limited {
		ofAction = held[d.index]
	}
	switch {
	case !below(inLane.least, ofLane.most), !below(ofAction.least, limits.Limit):
		return blocked
	case !below(inLane.most, ofLane.least), !below(ofAction.most, limits.Limit), d.rated(w.action):
		return unclear
	default:
		return eligible
	}
}

// checkPassed expects that no later ticket was granted while the ticket of a decision was eligible. The generation of the
// decision granted the ticket later, and nothing behind a ticket that had not arrived, so the ticket waited.
func (c *check) checkPassed(lane *slots, d *decision) {
	w := waiter{sequence: d.Sequence, action: d.action, number: d.Lane, lane: lane, first: max(d.first, lane.last+1), end: d.index}
	by, doubt := c.passed(w)
	switch {
	case by == nil && !doubt:
	case by == nil || c.otherInFront(lane, d):
		c.report.Checked.Unclear++
	default:
		c.violation(RulePassed, d.Sequence, d.Number, "eligible in lane %d, but passed by grant %d of sequence %d in lane %d",
			d.Lane, by.Number, by.Sequence, by.Lane)
	}
}

// otherInFront reports whether a ticket of another action can have waited in front of a ticket in its lane. Its own limits then
// decided.
func (c *check) otherInFront(lane *slots, d *decision) bool {
	previous := int64(0)
	if lane.last >= d.first {
		previous = c.decisions[lane.last].Sequence
	}
	return slices.ContainsFunc(between(c.lanes[d.Lane], previous, d.Sequence), func(p place) bool {
		return p.enforcement.ActionID != d.action && (p.grant == nil || p.grant.Number > d.Number)
	})
}

// checkWaiting counts the lanes whose first waiting ticket a grant passed although the ticket was eligible.
func (c *check) checkWaiting(lanes map[int32]*slots) {
	if len(c.decisions) == 0 {
		return
	}
	newest := c.decisions[len(c.decisions)-1]
	if !c.inLanes[newest.Generation] {
		return
	}
	for number, places := range c.lanes {
		i := slices.IndexFunc(places, place.waits)
		if i < 0 {
			continue
		}
		lane := at(lanes, number)
		w := waiter{
			sequence: places[i].sequence, action: places[i].enforcement.ActionID, number: number, lane: lane,
			first: max(newest.first, lane.last+1), end: len(c.decisions),
		}
		if by, _ := c.passed(w); by != nil {
			c.report.Checked.Passed++
		}
	}
}
