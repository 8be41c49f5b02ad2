package e2e_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// keyedAction is the step with lanes per tenant and further lines of its policy.
func keyedAction(limit int, policy ...string) string {
	action := stepAction(limit) + "  key: parameters.tenant\n"
	for _, line := range policy {
		action += "  " + line + "\n"
	}
	return action
}

// TestLanes runs three tenants in one queue: one execution of a tenant at once, in its order, and a tenant that is busy holds up
// no other.
func TestLanes(t *testing.T) {
	t.Parallel()
	const tenants, each = 3, 8
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(tenants, "limit_per_key: 1")})
	c.start()
	blocker := c.run("e2e.step", map[string]any{"n": 1000, "tenant": "t0", "ms": 600_000})
	c.eventually("the blocker runs", func() bool { return len(c.written()) == 1 })
	for n := range tenants * each {
		c.run("e2e.step", map[string]any{"n": n, "tenant": fmt.Sprintf("t%d", n%tenants), "ms": 20})
	}
	c.run("e2e.step", map[string]any{"n": 2000}) // without a tenant: a lane of its own
	c.eventually("the other tenants have ended", func() bool { return c.stats("e2e.step").TotalCompleted == (tenants-1)*each+1 })
	require.EqualValues(t, 1, c.stats("e2e.step").ActiveCount)
	require.EqualValues(t, each, c.stats("e2e.step").QueueLength, "the tenant of the blocker waits")

	c.cancel(blocker)
	c.finishDropping(tenants*each+2, 0)
	requireLanes(t, c.written(), tenants)
}

// requireLanes checks what the steps wrote: the steps of a tenant, which is the number modulo tenants, ran one after the other
// and in order.
func requireLanes(t *testing.T, written []string, tenants int) {
	t.Helper()
	running, last := map[int]int{}, map[int]int{}
	for _, entry := range slices.DeleteFunc(slices.Clone(written), func(e string) bool { return len(e) > 4 }) {
		n, err := strconv.Atoi(entry[1:])
		require.NoError(t, err)
		tenant := n % tenants
		if strings.HasPrefix(entry, "+") {
			require.Zero(t, running[tenant], "%s began while another step of its tenant ran: %v", entry, written)
			require.GreaterOrEqual(t, n, last[tenant], "%s is out of order: %v", entry, written)
			running[tenant]++
			last[tenant] = n
		} else {
			running[tenant]--
		}
	}
}

// TestLanes_Replace: the newest enforcement of a tenant ends the others of the tenant.
func TestLanes_Replace(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(5, "when_busy: replace")})
	c.start()
	other := c.run("e2e.step", map[string]any{"n": 9, "tenant": "other", "ms": 600_000})
	ids := []attune.EnforcementID{c.run("e2e.step", map[string]any{"n": 1, "tenant": "t", "ms": 600_000})}
	c.eventually("both run", func() bool { return len(c.written()) == 2 })
	for n := 2; n <= 4; n++ {
		ids = append(ids, c.run("e2e.step", map[string]any{"n": n, "tenant": "t", "ms": 1}))
	}
	c.eventually("the newest has run", func() bool { return slices.Contains(c.written(), "-4") })
	require.NotContains(t, c.written(), "-1", "the first was ended")
	var newest attune.Enforcement
	c.eventually("the newest has ended", func() bool {
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", ids[3]), nil, &newest))
		return newest.Status == attune.EnforcementExecuted
	})
	for _, id := range ids[1:3] { // each was cancelled while it waited, or was ended while it ran
		var e attune.Enforcement
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", id), nil, &e))
		require.True(t, e.Status == attune.EnforcementCancelled && e.Reason == attune.ReasonReplaced || e.Status == attune.EnforcementExecuted, e)
	}
	require.EqualValues(t, 1, c.stats("e2e.step").ActiveCount, "the other tenant runs")
	c.cancel(other)
}

// TestLanes_Skip: an enforcement that cannot start at once is rejected.
func TestLanes_Skip(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": keyedAction(5, "when_busy: skip")})
	c.start()
	first := c.run("e2e.step", map[string]any{"n": 1, "tenant": "t", "ms": 600_000})
	c.eventually("the first runs", func() bool { return len(c.written()) == 1 })
	second := c.run("e2e.step", map[string]any{"n": 2, "tenant": "t"})
	var e attune.Enforcement
	c.eventually("the second is rejected", func() bool {
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", second), nil, &e))
		return e.Status.Terminal()
	})
	require.Equal(t, attune.EnforcementRejected, e.Status)
	require.Equal(t, attune.ReasonBusy, e.Reason)
	require.Equal(t, "limit_per_key of queue e2e.step allows 1 for the key \"t\", and there are 1", e.Refusal.String())
	c.run("e2e.step", map[string]any{"n": 3, "tenant": "u"})
	c.eventually("another tenant runs", func() bool { return slices.Contains(c.written(), "-3") })
	c.cancel(first)
	require.Equal(t, map[string]int{"succeeded": 1, "cancelled": 1, "rejected": 1}, c.finishDropping(2, 1))
}
