package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestScenarios runs scenarios with the numbers of docs/architecture.md.
//
// Short: 300 tickets in S2. Long: 1000, which is S2 in full.
func TestScenarios(t *testing.T) {
	t.Parallel()

	t.Run("S1 ten tickets run one by one at limit one", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
		c.start()
		var want []string
		for n := range 10 {
			c.run("e2e.step", map[string]any{"n": n, "ms": 20})
			want = append(want, fmt.Sprintf("+%d", n), fmt.Sprintf("-%d", n))
		}
		m := c.finish("e2e.step", 10, 1)
		require.Equal(t, map[string]int{"succeeded": 10}, m.Outcomes)
		require.Equal(t, want, c.written(), "the processes ran in order, one after the other")
	})

	t.Run("S2 many tickets of four senders are granted in order at limit five", func(t *testing.T) {
		t.Parallel()
		const senders = 4
		tickets := size(300, 1000)
		c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(5)})
		c.start()
		sending := new(sync.WaitGroup)
		for sender := range senders {
			sending.Go(func() {
				for n := sender; n < tickets; n += senders {
					c.run("e2e.step", map[string]any{"n": n})
				}
			})
		}
		sending.Wait()
		m := c.finish("e2e.step", tickets, 5)
		require.Equal(t, map[string]int{"succeeded": tickets}, m.Outcomes)
		require.LessOrEqual(t, overlap(t, c.written()), 5)
		require.Len(t, c.written(), 2*tickets, "each ran once")
		measured(t, "%d enforcements by %d senders, each ran once, in order", tickets, senders)
	})

	t.Run("S3 thirty tickets of 10 and 30 and 50 ms share three slots", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(3)})
		c.start()
		for n := range 30 {
			c.run("e2e.step", map[string]any{"n": n, "ms": []int{10, 30, 50}[n%3]})
		}
		m := c.finish("e2e.step", 30, 3)
		require.Equal(t, map[string]int{"succeeded": 30}, m.Outcomes)
		require.LessOrEqual(t, overlap(t, c.written()), 3)
	})

	t.Run("S4 three actions with fifty each do not wait for each other", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, map[string]string{
			"actions/a.yaml": stepAction(1), "actions/b.yaml": stepAction(2), "actions/stuck.yaml": stepAction(1),
		})
		c.start()
		stuck := c.run("e2e.stuck", map[string]any{"n": 999, "ms": 600_000})
		for n := range 50 {
			for _, action := range []string{"e2e.a", "e2e.b", "e2e.stuck"} {
				c.run(action, map[string]any{"n": n})
			}
		}
		c.finish("e2e.a", 50, 1)
		c.finish("e2e.b", 50, 2)
		c.eventually("fifty wait behind the one that is stuck", func() bool {
			s := c.stats("e2e.stuck")
			return s.QueueLength == 50 && s.ActiveCount == 1
		})
		c.cancel(stuck)
		m := c.finish("e2e.stuck", 51, 1)
		require.Equal(t, map[string]int{"succeeded": 50, "cancelled": 1}, m.Outcomes)
	})

	t.Run("S6 the stats are right at every observation", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(4)})
		c.start()
		sent := new(sync.WaitGroup)
		sent.Go(func() {
			for n := range 60 {
				c.run("e2e.step", map[string]any{"n": n, "ms": 10})
			}
		})
		observed := 0
		c.eventually("sixty have ended", func() bool {
			s := c.stats("e2e.step")
			require.Equal(t, s.TotalEnqueued, s.QueueLength+s.ActiveCount+s.TotalCompleted+s.TotalDropped, "%+v", s)
			require.LessOrEqual(t, s.ActiveCount, int64(s.MaxConcurrent))
			require.Equal(t, s.QueueLength > 0, s.OldestEnqueuedAt != nil, "%+v", s)
			observed++
			return s.TotalCompleted == 60
		})
		sent.Wait()
		require.Greater(t, observed, 3)
		c.finish("e2e.step", 60, 4)
	})

	t.Run("S9 a hundred duplicate completions free one slot", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
		c.start()
		reports := c.tap(attune.KeyOfPool(attune.KeyExecutionCompleted, "*"))
		c.run("e2e.step", map[string]any{"n": 0})
		c.finish("e2e.step", 1, 1)
		c.run("e2e.step", map[string]any{"n": 1, "ms": 600_000})
		for n := range 5 {
			c.run("e2e.step", map[string]any{"n": 2 + n})
		}
		c.eventually("the second runs", func() bool { return len(c.written()) == 3 })
		c.eventually("the others wait", func() bool { return c.stats("e2e.step").QueueLength == 5 })
		report := c.tapped(reports)
		copies := slices.Repeat([][]byte{report.Body}, 100) // as if the broker or the worker sent it again
		c.publish(c.dialBroker(), report.RoutingKey, copies...)
		c.eventually("all duplicates have been seen", func() bool {
			return c.metric("attune_completions_total", `effect="repeated"`) == 100
		})
		require.EqualValues(t, 1, c.stats("e2e.step").ActiveCount)
		require.EqualValues(t, 5, c.stats("e2e.step").QueueLength)
		require.Equal(t, []string{"+0", "-0", "+1"}, c.written())
	})
}

// overlap returns the highest number of steps that ran at the same time.
func overlap(t *testing.T, lines []string) int {
	t.Helper()
	active, most := 0, 0
	for _, line := range lines {
		if strings.HasPrefix(line, "+") {
			active++
		} else {
			active--
		}
		most = max(most, active)
	}
	require.Zero(t, active)
	return most
}
