package semaphore

import (
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// wakePrecision is what times are rounded up to at which a rate allows a start, so that starts that follow each other closely
// share a turn of the queue.
const wakePrecision = 100 * time.Millisecond

// wholeQueue is the action of a rate that stands for every action of the queue.
const wholeQueue attune.ActionID = 0

// startLog bounds the starts of one action, or of every action of the queue, to one rate. Each attempt is a start: that of a grant
// at its decision, and that of a retry in its slot when its delay is over.
//
// In every window (t-Window, t] at most Limit attempts start. After a change of the limit or the window this is exact from
// one new window on, because the log keeps only the starts that the former limit and window needed.
type startLog struct {
	Action attune.ActionID
	attune.StartRate
	Starts []int64 // times of the latest starts in milliseconds of Unix time, up to Limit, in order
}

// opensAt returns when the rate allows the next start; zero if the log has too few starts for the limit.
func (g *startLog) opensAt() time.Time { return g.OpensAt(g.Starts) }

// charge counts a start, and forgets the starts that have left the window. A clock that runs backwards does not shorten the window of
// an earlier start.
func (g *startLog) charge(now time.Time) {
	at := now.UnixMilli()
	if n := len(g.Starts); n > 0 {
		at = max(at, g.Starts[n-1])
	}
	g.Starts = append(g.Starts, at)
	old := max(0, len(g.Starts)-g.Limit)
	for old < len(g.Starts) && !g.Leaves(g.Starts[old]).After(now) {
		old++
	}
	g.Starts = slices.Delete(g.Starts, 0, old)
}

// governs reports whether the starts of an action count at the rate.
func (g *startLog) governs(action attune.ActionID) bool {
	return g.Action == wholeQueue || g.Action == action
}

// usePolicy puts a policy into force. A rate keeps its starts while its name stays.
func (s *State) usePolicy(policy attune.QueuePolicy) {
	former := s.logs
	s.policy, s.logs, s.openedAt = policy, nil, time.Time{}
	add := func(action attune.ActionID, rates []attune.StartRate) {
		for _, rate := range rates {
			next := startLog{Action: action, StartRate: rate}
			same := func(g startLog) bool { return g.Action == action && g.Name == rate.Name }
			if i := slices.IndexFunc(former, same); i >= 0 {
				next.Starts = former[i].Starts[max(0, len(former[i].Starts)-rate.Limit):]
			}
			s.logs = append(s.logs, next)
		}
	}
	add(wholeQueue, policy.Rates)
	for _, limits := range policy.Actions {
		add(limits.Action, limits.Rates)
	}
	s.line.setLimits(policy)
}

// opensAt returns when every rate allows a start of an action; zero or a time that has passed means at once. With
// [wholeQueue], only the rates of the queue count.
func (s *State) opensAt(action attune.ActionID) time.Time {
	_, at := s.lastToOpen(action)
	return at
}

// lastToOpen returns the rate that allows the next start of an action the latest, and when; zero values if no rate has closed.
func (s *State) lastToOpen(action attune.ActionID) (last attune.StartRate, at time.Time) {
	for i := range s.logs {
		g := &s.logs[i]
		if opens := g.opensAt(); g.governs(action) && opens.After(at) {
			last, at = g.StartRate, opens
		}
	}
	return last, at
}

// open opens and closes the actions of the line: those with a used-up rate of their own are closed.
func (s *State) open(now time.Time) {
	for i := 0; i < len(s.logs); {
		action, closed := s.logs[i].Action, false
		for ; i < len(s.logs) && s.logs[i].Action == action; i++ {
			closed = closed || s.logs[i].opensAt().After(now)
		}
		s.line.levels.setClosed(action, closed)
		s.openedAt = now
	}
}

// DecidesAlike reports whether a decision that is lost and taken anew, later or after further signals, grants the same tickets first. Then
// grants may be delivered before their decision is durable. If lanes pass each other, another ticket can be granted when a limit was raised
// meanwhile; with a rate, the lost start of a ticket is not counted in its window.
func (s *State) DecidesAlike() bool { return s.policy.Across != attune.AcrossSkip && len(s.logs) == 0 }

// queueOpen reports whether the rates of the whole queue allow a start.
func (s *State) queueOpen() bool { return !s.line.levels.closed[wholeQueue] }

// mayStart reports whether every rate allows a start of an action.
func (s *State) mayStart(action attune.ActionID) bool {
	return s.queueOpen() && !s.line.levels.closed[action]
}

// startedAt returns the time that a grant records of a start: zero without rates, so that no rows are written for nothing.
func (s *State) startedAt(now time.Time) time.Time {
	if len(s.logs) == 0 {
		return time.Time{}
	}
	return precise(now)
}

// loadStarts counts the starts that the rows have.
func (s *State) loadStarts(starts []attune.ActionStarts) {
	for i := range s.logs {
		g := &s.logs[i]
		for _, of := range starts {
			if g.governs(of.Action) {
				g.Starts = append(g.Starts, of.At...)
			}
		}
		slices.Sort(g.Starts)
		g.Starts = slices.Delete(g.Starts, 0, max(0, len(g.Starts)-g.Limit))
	}
}

// charge counts the start of an action.
func (s *State) charge(now time.Time, action attune.ActionID) {
	for i := range s.logs {
		if s.logs[i].governs(action) {
			s.logs[i].charge(now)
		}
	}
	s.open(now)
}

// nextStart returns when a delayed retry or, if the queue has room, a waiting ticket may start; zero if no such time is known.
func (s *State) nextStart() (at time.Time) {
	for i := range s.holders {
		if holder := &s.holders[i]; !holder.NotBefore.IsZero() {
			at = attune.Earlier(at, attune.Later(holder.NotBefore, s.roundedOpening(holder.Action)))
		}
	}
	if len(s.holders) >= s.Limit() || s.line.length == 0 {
		return at
	}
	if !s.queueOpen() {
		return attune.Earlier(at, s.roundedOpening(wholeQueue))
	}
	for i := range s.logs {
		id := s.logs[i].Action
		if a := s.line.levels.actions[id]; s.line.levels.closed[id] && a != nil && !a.ready.empty() {
			at = attune.Earlier(at, s.roundedOpening(id))
		}
	}
	return at
}

func (s *State) roundedOpening(action attune.ActionID) time.Time {
	at := s.opensAt(action)
	if rounded := at.Truncate(wakePrecision); rounded.Before(at) {
		return rounded.Add(wakePrecision)
	}
	return at
}
