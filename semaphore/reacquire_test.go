package semaphore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestState_Reacquired(t *testing.T) {
	t.Parallel()
	state := open(attune.QueuePolicy{Limit: 1})
	state.Acquire(start, tickets(1, 4))
	state.Release(start, tickets(1, 1))
	require.NoError(t, cancel(state, start, person, tickets(3, 3)[0]))

	state.Acquire(start, tickets(2, 4))
	require.Empty(t, state.Reacquired(), "a ticket that holds, waits or is being settled is known")
	state.Acquire(start, tickets(1, 1))
	state.Acquire(start, tickets(1, 1))
	require.Equal(t, tickets(1, 1), state.Reacquired(), "a ticket that has ended is listed once")

	other := tickets(2, 2)[0]
	other.Enforcement += 1000
	state.Acquire(start, []attune.Ticket{other})
	require.Equal(t, append(tickets(1, 1), other), carriedOver(t, state).Reacquired(), "the place is held by another enforcement")

	state.ConfirmEnded(1)
	require.Equal(t, []attune.Ticket{other}, state.Reacquired())
	require.Equal(t, []int64{2}, granted(state), "verifying grants nothing")
}
