package semaphore_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// Many releases in one signal have the effect of one signal each, while the queue is paused: holders, waiting tickets, unknown and
// repeated ones in any order.
func TestState_ReleaseMany(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		snapshot := attune.QueueSnapshot{
			Policy: keyed(30, 5, attune.AcrossSkip), Mode: attune.QueuePaused, LastSequence: 40, LastGrant: 20, Accepted: 40,
		}
		for sequence := range int64(40) {
			ticket := ticketIn(int32(sequence%4), sequence+1)
			if sequence < 20 {
				snapshot.Holders = append(snapshot.Holders, attune.Grant{Ticket: ticket, Number: sequence + 1, GrantedAt: start})
			} else {
				if sequence%7 == 0 { // a later place of a holder's enforcement
					ticket.Enforcement, ticket.Attempt = snapshot.Holders[sequence-20].Enforcement, 2
				}
				snapshot.Waiting = append(snapshot.Waiting, ticket)
			}
		}
		known := make([]attune.Ticket, 0, 40)
		for _, grant := range snapshot.Holders {
			known = append(known, grant.Ticket)
		}
		known = append(known, snapshot.Waiting...)
		released := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) attune.Ticket {
			ticket := rapid.SampledFrom(known).Draw(t, "ticket")
			if rapid.IntRange(0, 9).Draw(t, "wrong") == 0 {
				ticket.Enforcement += 1000
			}
			return ticket
		}), 0, 30).Draw(t, "released")
		together, apart := rebuiltFrom(t, snapshot), rebuiltFrom(t, snapshot)
		together.Release(start, released)
		for _, ticket := range released {
			apart.Release(start, []attune.Ticket{ticket})
		}
		want, err := json.Marshal(apart)
		require.NoError(t, err)
		got, err := json.Marshal(together)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	})
}
