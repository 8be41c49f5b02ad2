package semaphore_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// Each rejected ticket names the bound that refused it, with its limit and its count.
func TestState_RejectedTicketsNameTheirBound(t *testing.T) {
	t.Parallel()
	refused := func(state *semaphore.State) map[int64]attune.Bound {
		bounds := map[int64]attune.Bound{}
		for _, s := range carriedOver(t, state).UnrecordedSettlements(100) {
			require.Equal(t, attune.EnforcementRejected, s.Status)
			bounds[s.Sequence] = *s.Bound
		}
		return bounds
	}

	t.Run("a full line, whatever leaves it", func(t *testing.T) {
		t.Parallel()
		full := attune.Bound{Name: attune.BoundMaxQueued, Limit: 2, Count: 2}
		state := open(attune.QueuePolicy{Limit: 0, MaxQueued: 2, Overflow: attune.OverflowReject})
		state.Acquire(start, tickets(1, 4))
		require.Equal(t, map[int64]attune.Bound{3: full, 4: full}, refused(state))
		state = open(attune.QueuePolicy{Limit: 0, MaxQueued: 2, Overflow: attune.OverflowDropOldest})
		state.Acquire(start, tickets(1, 4))
		require.Equal(t, map[int64]attune.Bound{1: full, 2: full}, refused(state))
	})

	t.Run("a line that is longer than its bound, because the bound was lowered", func(t *testing.T) {
		t.Parallel()
		policy := attune.QueuePolicy{Limit: 0, MaxQueued: 5, Overflow: attune.OverflowReject}
		state := open(policy)
		state.Acquire(start, tickets(1, 5))
		policy.Revision, policy.MaxQueued = 1, 2
		state.SetPolicy(start, policy)
		state.Acquire(start, tickets(6, 6))
		require.Equal(t, map[int64]attune.Bound{6: {Name: attune.BoundMaxQueued, Limit: 2, Count: 5}}, refused(state))
	})

	t.Run("a full lane", func(t *testing.T) {
		t.Parallel()
		policy := keyed(0, 1, attune.AcrossSkip)
		policy.Overflow, policy.Actions[0].MaxQueuedPerKey = attune.OverflowReject, new(1)
		state := open(policy)
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(2, 3)})
		full := attune.Bound{Name: attune.BoundMaxQueuedPerKey, Limit: 1, Count: 1}
		require.Equal(t, map[int64]attune.Bound{2: full}, refused(state))
		policy.Overflow = attune.OverflowDropOldest
		state = open(policy)
		state.Acquire(start, []attune.Ticket{ticketIn(1, 1), ticketIn(1, 2), ticketIn(2, 3)})
		require.Equal(t, map[int64]attune.Bound{1: full}, refused(state))
	})

	t.Run("a draining queue", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		require.NoError(t, setMode(state, start, person, attune.QueueDraining))
		state.Acquire(start, tickets(1, 1))
		require.Equal(t, map[int64]attune.Bound{1: {Name: attune.BoundDraining}}, refused(state))
	})
}

// A ticket that must not wait names what it would have waited for.
func TestState_BusyTicketsNameTheirBound(t *testing.T) {
	t.Parallel()
	minute := attune.Duration(time.Minute)
	rate := attune.StartRate{Name: "r", Limit: 1, Window: minute}
	for name, test := range map[string]struct {
		limit  int
		policy attune.ActionPolicy
		mode   attune.QueueMode
		bound  attune.Bound
	}{
		"the limit of the queue":  {1, attune.ActionPolicy{}, attune.QueueOpen, attune.Bound{Name: attune.BoundLimit, Limit: 1, Count: 1}},
		"the limit of the action": {9, attune.ActionPolicy{Limit: new(1)}, attune.QueueOpen, attune.Bound{Name: attune.BoundActionLimit, Limit: 1, Count: 1}},
		"the limit of the lane":   {9, attune.ActionPolicy{LimitPerKey: new(1)}, attune.QueueOpen, attune.Bound{Name: attune.BoundLimitPerKey, Limit: 1, Count: 1}},
		"a rate of starts": {9, attune.ActionPolicy{Rates: []attune.StartRate{rate}}, attune.QueueOpen, attune.Bound{
			Name: attune.BoundRate, Limit: 1, Count: 1, Window: minute, OpensAt: start.Add(time.Minute),
		}},
		"a paused queue": {9, attune.ActionPolicy{}, attune.QueuePaused, attune.Bound{Name: attune.BoundPaused}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.policy.Action, test.policy.WhenBusy = 1, attune.BusySkip
			state := open(attune.QueuePolicy{Limit: test.limit, Across: attune.AcrossSkip, Actions: []attune.ActionPolicy{test.policy}})
			state.Acquire(start, []attune.Ticket{ticketIn(1, 1)})
			if test.mode != attune.QueueOpen {
				require.NoError(t, setMode(state, start, person, test.mode))
			}
			state.Acquire(start, []attune.Ticket{ticketIn(1, 2)})
			settled := state.UnrecordedSettlements(9)
			require.Len(t, settled, 1)
			require.Equal(t, attune.ReasonBusy, settled[0].Reason)
			require.Equal(t, test.bound, *settled[0].Bound)
		})
	}

	t.Run("a ticket in front", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1, Across: attune.AcrossStrict, Actions: []attune.ActionPolicy{
			{Action: 1, Limit: new(0)}, {Action: 2, WhenBusy: attune.BusySkip},
		}})
		blocked, passing := tickets(1, 1)[0], tickets(2, 2)[0]
		blocked.Action, passing.Action = 1, 2
		state.Acquire(start, []attune.Ticket{blocked, passing})
		require.Equal(t, attune.BoundLine, state.UnrecordedSettlements(1)[0].Bound.Name)
	})
}
