package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// flaky is an action that writes a line for each attempt and succeeds at the third.
func flaky(placement string) string {
	return fmt.Sprintf(`description: succeeds at the third attempt
command: [sh, -c, 'n=$(sed "s/[^0-9]//g"); echo "$n.$ATTUNE_ATTEMPT" >> "$E2E_LOG"; [ "$n" != 1 ] || [ "$ATTUNE_ATTEMPT" -ge 3 ]']
env: [E2E_LOG]
policy: {limit: 1, max_attempts: 3, retry_delay: 100ms, retry_placement: %s}
`, placement)
}

// TestRetries runs three enforcements under each placement. The first needs three attempts.
func TestRetries(t *testing.T) {
	t.Parallel()
	for placement, story := range map[string]func(*cluster){
		"hold": (*cluster).retriesInPlace, "back": (*cluster).retriesAtTheBack, "park": (*cluster).retriesManually,
	} {
		t.Run(placement, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, map[string]string{"actions/flaky.yaml": flaky(placement)})
			c.start()
			// The other tickets are in line before the first attempt fails.
			c.control("e2e.flaky", "pause")
			for n := 1; n <= 3; n++ {
				c.run("e2e.flaky", map[string]any{"n": n})
			}
			c.eventually("all wait", func() bool { return c.stats("e2e.flaky").QueueLength == 3 })
			c.control("e2e.flaky", "resume")
			story(c)

			for _, row := range c.rows("e2e.flaky") {
				require.Equal(t, attune.EnforcementExecuted, row.Enforcement.Status)
				require.Equal(t, attune.ExecutionSucceeded, row.Execution.Status)
			}
			code, output := c.attune("queue", "verify", "e2e.flaky", "--url", c.base)
			require.Zero(t, code, output)
			require.Contains(t, output, "every promise kept")
		})
	}
}

func (c *cluster) retriesInPlace() {
	c.t.Helper()
	c.complete("e2e.flaky", 3)
	require.Equal(c.t, []string{"1.1", "1.2", "1.3", "2.1", "3.1"}, c.written(), "no ticket overtakes")
	require.EqualValues(c.t, 3, c.stats("e2e.flaky").TotalEnqueued, "the enforcement kept its place")
}

func (c *cluster) retriesAtTheBack() {
	c.t.Helper()
	c.complete("e2e.flaky", 5)
	require.ElementsMatch(c.t, []string{"1.1", "2.1", "1.2", "3.1", "1.3"}, c.written())
	require.Equal(c.t, []string{"1.1", "2.1"}, c.written()[:2])
	require.EqualValues(c.t, 5, c.stats("e2e.flaky").TotalEnqueued)
}

// retriesManually retries the first enforcement once; the retry fails once more before it succeeds.
func (c *cluster) retriesManually() {
	c.t.Helper()
	first := c.rows("e2e.flaky")[2].Enforcement.ID
	parked := func() bool {
		var e attune.Enforcement
		require.NoError(c.t, c.Get(c.t.Context(), fmt.Sprintf("/enforcements/%d", first), nil, &e))
		return e.Status == attune.EnforcementParked
	}
	for range 2 {
		c.eventually("it is parked", parked)
		require.NoError(c.t, c.Post(c.t.Context(), fmt.Sprintf("/enforcements/%d/retry", first), author, nil))
	}
	c.complete("e2e.flaky", 5)
	require.ElementsMatch(c.t, []string{"1.1", "2.1", "1.2", "3.1", "1.3"}, c.written())
}
