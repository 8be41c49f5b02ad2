package semaphore_test

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

const sleepAfter = 3 * time.Second

var person = authorNamed("person", "")

type machine struct {
	state  *semaphore.State
	oracle oracle
	now    time.Time
	grants []int64 // sequences in the order in which the state decided them, each once
	seen   map[int64]bool
	asleep map[int64]bool
}

func newMachine() *machine {
	policy := attune.QueuePolicy{Revision: 1, Limit: 2, MaxQueued: 5, Overflow: attune.OverflowReject}
	state := semaphore.New(attune.QueueSnapshot{Policy: policy})
	state.SetInspectAfter(5 * time.Second)
	state.SetSleepAfter(sleepAfter)
	return &machine{
		state: state,
		oracle: oracle{
			policy: policy, manual: map[int32]attune.LimitOverride{}, wrong: map[wrongPlace]bool{}, touched: map[int32]bool{}, starts: map[rateName][]time.Time{},
		},
		now:    time.UnixMilli(1_700_000_000_000).UTC(),
		seen:   map[int64]bool{},
		asleep: map[int64]bool{},
	}
}

func (m *machine) ticket(t *rapid.T) (attune.Ticket, bool) {
	if len(m.oracle.entries) == 0 {
		return attune.Ticket{}, false
	}
	return rapid.SampledFrom(m.oracle.entries).Draw(t, "entry").ticket, true
}

// acquire acquires tickets. Tickets that the oracle calls unsent are newcomers.
func (m *machine) acquire(tickets ...attune.Ticket) {
	for _, ticket := range tickets {
		e := &m.oracle.entries[ticket.Sequence-1]
		switch {
		case e.place == unsent && m.oracle.mode == attune.QueueDraining && ticket.Attempt <= 1:
			m.oracle.drop(ticket.Sequence, &e.rejected)
		case e.place == unsent || e.place == unseen:
			m.oracle.arrive(e)
		case e.place == holding:
			e.delivered = false
		}
	}
	m.state.Acquire(m.now, tickets)
	m.oracle.settle(m.now)
}

// accept makes tickets that have not been acquired yet, of several actions and in several lanes.
func (m *machine) accept(t *rapid.T, n int) []attune.Ticket {
	var tickets []attune.Ticket
	for range n {
		sequence := int64(len(m.oracle.entries) + 1)
		ticket := attune.Ticket{
			Enforcement: attune.EnforcementID(1000 + 3*sequence), Sequence: sequence, EnqueuedAt: m.now,
			Lane: rapid.Int32Range(0, 3).Draw(t, "lane"), Action: attune.ActionID(rapid.IntRange(0, 2).Draw(t, "action")),
		}
		m.oracle.entries = append(m.oracle.entries, entry{ticket: ticket})
		tickets = append(tickets, ticket)
	}
	return tickets
}

func (m *machine) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"acquire new": func(t *rapid.T) { m.acquire(m.accept(t, rapid.IntRange(1, 4).Draw(t, "n"))...) },
		"acquire lost": func(t *rapid.T) {
			m.accept(t, rapid.IntRange(1, 2).Draw(t, "n"))
		},
		"acquire again": func(t *rapid.T) {
			if ticket, ok := m.ticket(t); ok {
				m.acquire(ticket)
			}
		},
		"backfill": func(t *rapid.T) {
			gap, ok := m.state.Missing()
			if !ok {
				return
			}
			var found []attune.Ticket
			for i := gap.From - 1; i < gap.To; i++ {
				require.True(t, m.oracle.missing(int(i)), "sequence %d is not missing", i+1)
				if e := &m.oracle.entries[i]; rapid.Bool().Draw(t, "still waits") {
					found = append(found, e.ticket)
					m.oracle.arrive(e)
				} else {
					e.place = ended
				}
			}
			m.state.Backfill(m.now, gap, found)
			m.oracle.settle(m.now)
		},
		"release": func(t *rapid.T) {
			ticket, ok := m.ticket(t)
			if !ok || m.oracle.tentative(ticket) {
				return
			}
			if place := m.oracle.entries[ticket.Sequence-1].place; place != holding && place != ended && place != unseen {
				m.oracle.granted = append(m.oracle.granted, 0)
				m.oracle.leave(ticket)
			}
			m.oracle.end(ticket)
			m.state.Release(m.now, []attune.Ticket{ticket, ticket})
			m.oracle.settle(m.now)
		},
		"cancel": func(t *rapid.T) {
			ticket, ok := m.ticket(t)
			if !ok {
				return
			}
			place := m.oracle.entries[ticket.Sequence-1].place
			awaits := place != holding && place != ended && place != unseen
			if awaits {
				m.oracle.end(ticket)
				m.oracle.settled = append(m.oracle.settled, ticket.Sequence)
			}
			err := cancel(m.state, m.now, person, ticket)
			require.Equal(t, awaits, err == nil, "a cancel is refused unless its ticket waits or can arrive: %v", err)
			m.oracle.settle(m.now)
		},
		"cancel wrong": func(t *rapid.T) {
			ticket, ok := m.ticket(t)
			if !ok {
				return
			}
			n := len(m.oracle.entries)
			ticket.Sequence = rapid.Int64Range(1, int64(n+3)).Draw(t, "sequence")
			if ticket.Sequence <= int64(n) && m.oracle.entries[ticket.Sequence-1].ticket.Enforcement == ticket.Enforcement {
				return
			}
			canArrive := ticket.Sequence > int64(n) || m.oracle.missing(int(ticket.Sequence-1))
			wrong := wrongPlace{enforcement: ticket.Enforcement, sequence: ticket.Sequence}
			accepted := canArrive && !m.oracle.wrong[wrong]
			if accepted {
				m.oracle.settled = append(m.oracle.settled, 0)
				m.oracle.wrong[wrong] = true
			}
			require.Equal(t, accepted, cancel(m.state, m.now, person, ticket) == nil)
			m.oracle.settle(m.now)
		},
		"set policy": func(t *rapid.T) {
			policy := attune.QueuePolicy{
				Revision:     rapid.Int64Range(1, 100).Draw(t, "revision"),
				Limit:        rapid.IntRange(0, 4).Draw(t, "limit"),
				MaxQueued:    rapid.IntRange(1, 8).Draw(t, "max queued"),
				Overflow:     rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest}).Draw(t, "overflow"),
				QueueTimeout: attune.Duration(rapid.SampledFrom([]time.Duration{0, time.Second, time.Minute}).Draw(t, "timeout")),
				Across:       rapid.SampledFrom([]attune.Across{"", attune.AcrossStrict, attune.AcrossSkip}).Draw(t, "across"),
				Rates:        drawRates(t),
				Actions:      drawLimits(t),
			}
			m.state.SetPolicy(m.now, policy)
			if policy.Revision > m.oracle.policy.Revision {
				m.oracle.setPolicy(policy)
			}
			m.oracle.settle(m.now)
		},
		"set mode": func(t *rapid.T) {
			// Mostly open, so that tickets are granted.
			m.oracle.mode = rapid.SampledFrom([]attune.QueueMode{attune.QueueOpen, attune.QueueOpen, attune.QueuePaused, attune.QueueDraining}).Draw(t, "mode")
			changes := m.state.Mode() != m.oracle.mode
			require.Equal(t, changes, setMode(m.state, m.now, person, m.oracle.mode) == nil)
			m.oracle.settle(m.now)
		},
		"override": func(t *rapid.T) {
			override := attune.LimitOverride{Limit: rapid.IntRange(0, 4).Draw(t, "limit")}
			if rapid.Bool().Draw(t, "runs out") {
				override.Until = m.now.Truncate(time.Second).Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "s")) * time.Second)
			}
			passed := !override.Until.IsZero() && !override.Until.After(m.now)
			current, set := m.state.Override()
			ranOut := set && !current.Until.IsZero() && !current.Until.After(m.now)
			err := setLimit(m.state, m.now, person, &override)
			require.Equal(t, passed || set && !ranOut && current == override, err != nil, "%+v after %+v: %v", override, current, err)
			if err == nil {
				m.oracle.override = &override
			}
			m.oracle.settle(m.now)
		},
		"clear override": func(t *rapid.T) {
			m.oracle.limit(m.now)
			require.Equal(t, m.oracle.override != nil, setLimit(m.state, m.now, person, nil) == nil)
			m.oracle.override = nil
			m.oracle.settle(m.now)
		},
		"lane limit": m.setLaneLimit,
		"advance": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 2000).Draw(t, "ms")) * time.Millisecond)
			m.state.Advance(m.now)
			m.oracle.settle(m.now)
		},
		"advance to the deadline": func(t *rapid.T) {
			at, ok := m.state.WakeAt()
			if !ok {
				return
			}
			m.now = at
			m.state.Advance(m.now)
			m.oracle.settle(m.now)
		},
		"ask to end": func(t *rapid.T) {
			grants := m.state.ToEnd(rapid.IntRange(1, 3).Draw(t, "n"))
			for _, grant := range grants {
				m.oracle.entries[grant.Sequence-1].asked = true
			}
			m.state.AskedToEnd(grants)
		},
		"inspect": func(t *rapid.T) {
			var gone, lost []attune.Ticket
			for _, suspect := range m.state.Suspects(m.now) {
				if m.oracle.tentative(suspect.Ticket) { // the grant is not delivered, so the execution cannot have ended
					continue
				}
				switch rapid.IntRange(0, 2).Draw(t, "what became of it") {
				case 0:
					m.oracle.entries[suspect.Sequence-1].place = ended
					gone = append(gone, suspect.Ticket)
				case 1:
					m.oracle.entries[suspect.Sequence-1].delivered = false
					lost = append(lost, suspect.Ticket)
				}
			}
			m.state.Inspected(m.now, gone, lost)
			m.oracle.settle(m.now)
		},
		"deliver": func(t *rapid.T) {
			grants := m.state.Deliverable(rapid.IntRange(1, 3).Draw(t, "n"))
			for _, grant := range grants {
				m.oracle.entries[grant.Sequence-1].delivered = true
			}
			m.state.Delivered(grants)
		},
		"retry in place": func(t *rapid.T) {
			ticket, ok := m.ticket(t)
			if !ok {
				return
			}
			ticket.Attempt = rapid.IntRange(1, 4).Draw(t, "attempt")
			retry := attune.Retry{Ticket: ticket, NotBefore: m.now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)}
			if m.oracle.tentative(ticket) { // the grant is not delivered, so no attempt can have failed
				return
			}
			switch e := &m.oracle.entries[ticket.Sequence-1]; e.place {
			case holding:
				if ticket.Attempt > e.attempt {
					e.attempt, e.notBefore, e.delivered = ticket.Attempt, retry.NotBefore, false
				}
			case waiting, behind:
				if ticket.Attempt > max(e.ticket.Attempt, 1) {
					e.ticket.Attempt = ticket.Attempt
				}
			}
			m.state.Retry(m.now, []attune.Retry{retry, retry})
			m.oracle.settle(m.now)
		},
		"retry at the back": func(t *rapid.T) {
			ticket, ok := m.ticket(t)
			moved := func(e entry) bool {
				return e.ticket.Enforcement == ticket.Enforcement && e.ticket.Sequence > ticket.Sequence
			}
			next := wrongPlace{enforcement: ticket.Enforcement, sequence: int64(len(m.oracle.entries) + 1)}
			if !ok || m.oracle.wrong[next] || m.oracle.entries[ticket.Sequence-1].place != holding || m.oracle.tentative(ticket) || slices.ContainsFunc(m.oracle.entries, moved) {
				return
			}
			again := m.accept(t, 1)
			again[0].Lane, again[0].Action = ticket.Lane, ticket.Action
			again[0].Enforcement, again[0].Attempt = ticket.Enforcement, m.oracle.entries[ticket.Sequence-1].attempt+1
			m.oracle.entries[again[0].Sequence-1].ticket = again[0]
			if rapid.Bool().Draw(t, "arrives") {
				m.acquire(again...)
			}
		},
		"sleep": func(t *rapid.T) {
			tickets := m.state.SleepersToStart(rapid.IntRange(1, 3).Draw(t, "n"))
			for _, ticket := range tickets {
				require.Equal(t, waiting, m.oracle.entries[ticket.Sequence-1].place)
				require.False(t, m.asleep[ticket.Sequence], "put to sleep twice")
				require.False(t, ticket.EnqueuedAt.Add(sleepAfter).After(m.now), "put to sleep before its time")
				m.asleep[ticket.Sequence] = true
			}
			m.state.SleepersStarted(tickets)
		},
		"record": func(t *rapid.T) {
			n := len(m.state.UnrecordedSettlements(rapid.IntRange(1, 3).Draw(t, "n")))
			held := m.oracle.record(n, func() bool { return rapid.Bool().Draw(t, "it held a slot") })
			m.state.SettlementsRecorded(m.now, n, held)
			// A revoked grant counts as not granted, and its ticket can be granted again.
			m.grants = slices.DeleteFunc(m.grants, func(s int64) bool { return !slices.Contains(m.oracle.granted, s) })
			maps.DeleteFunc(m.seen, func(s int64, _ bool) bool { return !slices.Contains(m.oracle.granted, s) })
			m.oracle.settle(m.now)
		},
		"carry over": func(t *rapid.T) {
			data, err := json.Marshal(m.state)
			require.NoError(t, err)
			restored := new(semaphore.State)
			require.NoError(t, json.Unmarshal(data, restored))
			again, err := json.Marshal(restored)
			require.NoError(t, err)
			require.JSONEq(t, string(data), string(again))
			m.state = restored
		},
		"": m.check,
	}
}

// TestState_AgainstOracle runs more than 100 000 random operations, duplicates, losses and hand-overs included, against the naive
// twin. The holders alone do not show a grant at or above the limit, because a lowered limit drains. So the oracle, which grants
// only below the limit, must agree on every grant.
func TestState_AgainstOracle(t *testing.T) {
	t.Parallel()
	const least = 100_000
	operations := 0
	rapid.Check(t, func(t *rapid.T) {
		actions := newMachine().actions()
		check := actions[""]
		actions[""] = func(t *rapid.T) { operations++; check(t) }
		t.Repeat(actions)
	})
	require.GreaterOrEqual(t, operations, least)
}

// authorNamed is an author that the API has authenticated.
func authorNamed(name, note string) attune.Author {
	return attune.Author{Principal: attune.Principal{Name: name, Method: attune.AuthToken}, Note: note}
}
