package postgres_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestEnforcements_Inspect(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tickets := b.admit(t, b.created(t, deploy, 7)...)
	b.admitOther(t)
	b.request(t, tickets[0]) // requested
	require.True(t, b.claim(t, b.request(t, tickets[1]), "worker-1").Granted)
	b.finish(t, reportOf(b.request(t, tickets[2])))
	_, err := b.executions.Cancel(t.Context(), b.request(t, tickets[3]).Execution, ada)
	require.NoError(t, err)
	b.settle(t, tickets[4], attune.EnforcementExpired, attune.ReasonQueueTimeout)
	b.settle(t, tickets[5], attune.EnforcementCancelled, attune.ReasonCancelled)

	var holders []attune.Grant
	for _, ticket := range slices.Backward(tickets) {
		holders = append(holders, grant(ticket))
	}
	holders = append(holders, grant(attune.Ticket{Enforcement: 4711, Sequence: 99}))
	ended, waiting, err := b.enforcements.Inspect(t.Context(), queueKey, holders)
	require.NoError(t, err)
	want := slices.Clone(tickets[2:6])
	for i := range want {
		want[i].Attempt = 1 // the grant's
	}
	require.Empty(t, cmp.Diff(want, ended))
	require.Empty(t, cmp.Diff(tickets[6:], waiting))

	ended, waiting, err = b.enforcements.Inspect(t.Context(), "demo.notify", holders)
	require.NoError(t, err)
	require.Empty(t, ended, "tickets of another queue are not this queue's business")
	require.Empty(t, waiting)
	ended, waiting, err = b.enforcements.Inspect(t.Context(), queueKey, nil)
	require.NoError(t, err)
	require.Empty(t, ended)
	require.Empty(t, waiting)
}
