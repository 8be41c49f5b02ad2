package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// TestEnforcements_AdmitChangedPolicy: an admission that resolves a changed policy before [postgres.Queues.FollowPolicies] does must not
// hide the change from the queue.
func TestEnforcements_AdmitChangedPolicy(t *testing.T) {
	t.Parallel()
	// used returns a bundle whose queue waits and follows every change; the rate refuses all that comes.
	used := func(t *testing.T) *bundle {
		t.Helper()
		b := setup(t)
		b.say(t, policy.ScopeAction, string(deploy), rated(rateOf("all", 1, time.Hour)))
		b.tickets(t, b.gated(t, deploy, 1)...)
		b.follow(t)
		b.exec(t, `DELETE FROM untold_policies`)
		return b
	}
	requireUntold := func(t *testing.T, b *bundle, limit int) {
		t.Helper()
		require.Empty(t, b.follow(t), "the admission has resolved the policy already")
		untold, err := b.queues.UntoldPolicies(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, untold, 1)
		require.Equal(t, queueKey, untold[0].Queue)
		require.Equal(t, limit, untold[0].Policy.Limit)
		require.NoError(t, b.queues.PoliciesTold(t.Context(), untold))
		require.Zero(t, b.count(t, `SELECT count(*) FROM untold_policies`))
	}

	t.Run("when every newcomer is refused, the queue is untold at once", func(t *testing.T) {
		t.Parallel()
		b := used(t)
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(7)}, nil)
		require.Empty(t, b.tickets(t, b.gated(t, deploy, 2)...))
		requireUntold(t, b, 7)
	})

	t.Run("when a document has ended, too", func(t *testing.T) {
		t.Parallel()
		b := used(t)
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(7)}, new(time.Now().Add(time.Hour)))
		require.NoError(t, b.queues.PoliciesTold(t.Context(), b.follow(t)))
		b.exec(t, `UPDATE policies SET until = clock_timestamp() WHERE scope = 'pack'`)
		require.Empty(t, b.tickets(t, b.gated(t, deploy, 2)...))
		requireUntold(t, b, 1)
	})

	t.Run("tickets bring the policy along, and the queue stays untold in case they end before they are sent", func(t *testing.T) {
		t.Parallel()
		b := used(t)
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(7)}, nil)
		b.pass(t, time.Hour)
		require.Len(t, b.tickets(t, b.gated(t, deploy, 2)...), 1)
		untold, err := b.queues.UntoldPolicies(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, untold, "the process that has admitted the ticket sends it")
		b.exec(t, `UPDATE untold_policies SET at = at - interval '3 seconds'`)
		requireUntold(t, b, 7)
	})

	t.Run("a new queue is not untold", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.tickets(t, b.gated(t, deploy, 1)...)
		require.Zero(t, b.count(t, `SELECT count(*) FROM untold_policies`))
	})
}
