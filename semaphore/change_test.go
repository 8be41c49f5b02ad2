package semaphore_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// ask makes a request with a new id.
func ask(state *semaphore.State, now time.Time, author attune.Author, r attune.ChangeRequest) (int64, error) {
	r.ID, r.Author = fmt.Sprintf("request %d", state.Changes()+1), author
	return state.Change(now, r)
}

func setMode(state *semaphore.State, now time.Time, author attune.Author, mode attune.QueueMode) error {
	_, err := ask(state, now, author, attune.ChangeRequest{Kind: attune.ChangeMode, Mode: mode})
	return err
}

func setLimit(state *semaphore.State, now time.Time, author attune.Author, limit *attune.LimitOverride) error {
	_, err := ask(state, now, author, attune.ChangeRequest{Kind: attune.ChangeLimit, Limit: limit})
	return err
}

func cancel(state *semaphore.State, now time.Time, author attune.Author, ticket attune.Ticket) error {
	_, err := ask(state, now, author, attune.ChangeRequest{Kind: attune.ChangeCancel, Ticket: ticket})
	return err
}

func pause(id string) attune.ChangeRequest {
	return attune.ChangeRequest{ID: id, Author: person, Kind: attune.ChangeMode, Mode: attune.QueuePaused}
}

// carriedOver returns the state after encoding and decoding.
func carriedOver(t require.TestingT, state *semaphore.State) *semaphore.State {
	data, err := json.Marshal(state)
	require.NoError(t, err)
	restored := new(semaphore.State)
	require.NoError(t, json.Unmarshal(data, restored))
	return restored
}

func TestState_Change(t *testing.T) {
	t.Parallel()

	t.Run("a repeated request makes one change, also after the state is carried over", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		first, err := state.Change(start, pause("a"))
		require.NoError(t, err)
		state.ChangesRecorded(1)
		state = carriedOver(t, state)
		require.NoError(t, setMode(state, start, person, attune.QueueOpen))
		again, err := state.Change(start, pause("a"))
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Equal(t, attune.QueueOpen, state.Mode(), "the mode that was set since stays")
		require.EqualValues(t, 2, state.Changes())
	})

	t.Run("a request without effect is a conflict and leaves no record", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 1))
		require.NoError(t, setLimit(state, start, person, &attune.LimitOverride{Limit: 4}))
		before := carriedOver(t, state)
		for says, err := range map[string]error{
			"the queue is already open":                   setMode(state, start, person, attune.QueueOpen),
			"the limit is already 4 by hand":              setLimit(state, start, person, &attune.LimitOverride{Limit: 4}),
			"enforcement 101 does not wait in this queue": cancel(state, start, person, tickets(1, 1)[0]), // it holds a slot
			"the policy's limit is already in force":      setLimit(open(attune.QueuePolicy{Limit: 1}), start, person, nil),
		} {
			require.EqualError(t, err, says)
			require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
		}
		require.Equal(t, before.UnrecordedChanges(9, 9), state.UnrecordedChanges(9, 9))
	})

	t.Run("a malformed request is invalid", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		for says, request := range map[string]attune.ChangeRequest{
			"id: the id of the request is missing": pause(""),
			"note: ":                               {ID: "a", Author: authorNamed("ann", "\x00"), Kind: attune.ChangeMode, Mode: attune.QueuePaused},
			"mode \"shut\": use ":                  {ID: "a", Author: person, Kind: attune.ChangeMode, Mode: "shut"},
			"limit -1":                             {ID: "a", Author: person, Kind: attune.ChangeLimit, Limit: &attune.LimitOverride{Limit: -1}},
			"until ":                               {ID: "a", Author: person, Kind: attune.ChangeLimit, Limit: &attune.LimitOverride{Limit: 1, Until: start}},
			"kind \"colour\": use ":                {ID: "a", Author: person, Kind: "colour"},
			"ticket: enforcement 0":                {ID: "a", Author: person, Kind: attune.ChangeCancel, Ticket: attune.Ticket{Sequence: 1}},
			"ticket: sequence 0":                   {ID: "a", Author: person, Kind: attune.ChangeCancel, Ticket: attune.Ticket{Enforcement: 1}},
			"ticket: lane -1":                      {ID: "a", Author: person, Kind: attune.ChangeCancel, Ticket: attune.Ticket{Enforcement: 1, Sequence: 1, Lane: -1}},
			"ticket: attempt -1":                   {ID: "a", Author: person, Kind: attune.ChangeCancel, Ticket: attune.Ticket{Enforcement: 1, Sequence: 1, Attempt: -1}},
		} {
			_, err := state.Change(start, request)
			require.ErrorContains(t, err, says)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		}
		require.Zero(t, state.Changes())
	})

	t.Run("a cancel is recorded with its settlement, never before it", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 3))
		require.NoError(t, cancel(state, start, person, tickets(2, 2)[0]))
		require.NoError(t, cancel(state, start, person, tickets(3, 3)[0]))
		require.Empty(t, state.UnrecordedChanges(9, 0).Changes)
		require.Len(t, state.UnrecordedChanges(9, 1).Changes, 1)
		require.Len(t, state.UnrecordedChanges(9, 2).Changes, 2)
		state.SettlementsRecorded(start, 2, nil)
		require.Len(t, state.UnrecordedChanges(9, 0).Changes, 2)
	})

	t.Run("a cancel fails if the row of its ticket holds a slot", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		number, err := ask(state, start, person, attune.ChangeRequest{Kind: attune.ChangeCancel, Ticket: tickets(2, 2)[0]})
		require.NoError(t, err)
		recorded, _ := state.ChangeOutcome(number)
		require.False(t, recorded)
		held := attune.Grant{Ticket: tickets(2, 2)[0], Number: 2}
		state.SettlementsRecorded(start, 1, []attune.Grant{held})
		state.ChangesRecorded(1)
		recorded, failure := state.ChangeOutcome(number)
		require.True(t, recorded)
		require.Equal(t, attune.CodeConflict, attune.CodeOf(failure))
	})

	t.Run("a change that the rows refuse permanently is given up, and its caller gets the reason", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		number, err := state.Change(start, pause("a"))
		require.NoError(t, err)
		state.ChangeUnrecordable("the table is full")
		recorded, failure := carriedOver(t, state).ChangeOutcome(number)
		require.True(t, recorded)
		require.EqualError(t, failure, "the change was made but cannot be recorded: the table is full")
		require.EqualValues(t, 1, state.Counters().Unrecordable)
		require.Empty(t, state.UnrecordedChanges(9, 9).Changes)
	})
}

func TestState_CancelWithAWrongSequence(t *testing.T) {
	t.Parallel()
	wrong := func(sequence int64) attune.Ticket { return attune.Ticket{Enforcement: 7, Sequence: sequence} }

	t.Run("the ticket of the enforcement that has the sequence waits and is granted in its turn", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		require.NoError(t, cancel(state, start, person, wrong(2)))
		state = carriedOver(t, state)
		state.Acquire(start, tickets(1, 1))
		state.Acquire(start, tickets(3, 3))
		gap, missing := state.Missing()
		require.True(t, missing)
		require.Equal(t, semaphore.Gap{From: 2, To: 2}, gap, "no ticket overtakes the ticket with the sequence")
		state.Acquire(start, tickets(2, 2))
		require.Equal(t, []int64{2, 3}, waitingIn(state))
		require.Zero(t, state.Counters().Repeated)
	})

	t.Run("the rows close a gap with a wrong sequence", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		state.Acquire(start, tickets(2, 2))
		require.NoError(t, cancel(state, start, person, wrong(1)))
		state.Backfill(start, semaphore.Gap{From: 1, To: 1}, tickets(1, 1))
		require.Equal(t, []int64{1, 2}, waitingIn(state))
	})

	t.Run("the sequence of a ticket that arrived is refused, and later gaps still close", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 0})
		state.Acquire(start, append(tickets(1, 1), tickets(3, 3)...))
		for _, sequence := range []int64{1, 3} {
			require.EqualError(t, cancel(state, start, person, wrong(sequence)), "enforcement 7 does not wait in this queue")
		}
		state.Acquire(start, tickets(2, 2))
		state.Acquire(start, tickets(6, 6))
		gap, _ := state.Missing()
		require.Equal(t, semaphore.Gap{From: 4, To: 5}, gap)
		state.Backfill(start, gap, nil)
		require.Equal(t, []int64{1, 2, 3, 6}, waitingIn(state))
	})

	t.Run("a holder keeps its slot", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		state.Acquire(start, tickets(1, 2))
		holder := tickets(1, 1)[0]
		holder.Sequence = 100
		require.NoError(t, cancel(state, start, person, holder), "the enforcement can be at the back by now")
		require.Equal(t, []int64{1}, granted(state))
		holder.Attempt = 2
		holder.Sequence = 3
		state.Acquire(start, []attune.Ticket{holder})
		require.Equal(t, []int64{2}, granted(state), "the arrival of the next place frees the slot")
	})

	t.Run("the right cancel ends its ticket before it arrives, next to a wrong one", func(t *testing.T) {
		t.Parallel()
		state := open(attune.QueuePolicy{Limit: 1})
		require.NoError(t, cancel(state, start, person, wrong(1)))
		require.NoError(t, cancel(state, start, person, tickets(1, 1)[0]))
		require.Error(t, cancel(state, start, person, tickets(1, 1)[0]))
		state.Acquire(start, tickets(1, 2))
		require.Equal(t, []int64{2}, granted(state))
	})
}

// TestState_ChangesAreNumberedOnce makes, repeats and records changes in any order: each request has one number, the numbers
// count the requests, and the records come in their order.
func TestState_ChangesAreNumberedOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 100})
		state.Acquire(start, tickets(1, 50))
		var logged []attune.QueueChange
		numbers := map[string]int64{}
		t.Repeat(map[string]func(*rapid.T){
			"change": func(t *rapid.T) {
				id := fmt.Sprint(rapid.IntRange(1, 40).Draw(t, "id"))
				r := attune.ChangeRequest{ID: id, Author: person, Kind: attune.ChangeCancel, Ticket: tickets(1, 50)[rapid.IntRange(0, 49).Draw(t, "ticket")]}
				if rapid.Bool().Draw(t, "mode") {
					r.Kind, r.Mode = attune.ChangeMode, rapid.SampledFrom([]attune.QueueMode{attune.QueueOpen, attune.QueuePaused}).Draw(t, "to")
				}
				number, err := state.Change(start, r)
				if err != nil {
					require.NotContains(t, numbers, id, "a request that was made is not refused")
					return
				}
				if known, made := numbers[id]; made {
					require.Equal(t, known, number)
					return
				}
				numbers[id] = number
				require.EqualValues(t, len(numbers), number)
			},
			"record": func(t *rapid.T) {
				settled := len(state.UnrecordedSettlements(rapid.IntRange(0, 3).Draw(t, "settlements")))
				changes := state.UnrecordedChanges(rapid.IntRange(0, 3).Draw(t, "changes"), settled).Changes
				state.SettlementsRecorded(start, settled, nil)
				logged = append(logged, changes...)
				state.ChangesRecorded(len(changes))
			},
			"carry over": func(t *rapid.T) { state = carriedOver(t, state) },
			"": func(t *rapid.T) {
				for i, change := range logged {
					require.EqualValues(t, i+1, change.Number)
					require.Equal(t, numbers[change.Request], change.Number)
				}
			},
		})
	})
}
