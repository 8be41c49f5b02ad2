package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
)

// setPolicy changes fields of the policy of a scope, and returns the answer.
func (c *cluster) setPolicy(scope, fields string) api.ChangedPolicy {
	c.t.Helper()
	status, answer := c.api(http.MethodPatch, "policies/"+scope, `{"policy":`+fields+`,"note":"live"}`)
	require.Equal(c.t, http.StatusOK, status, answer)
	var changed api.ChangedPolicy
	require.NoError(c.t, json.Unmarshal([]byte(answer), &changed))
	return changed
}

// step returns the queue of the action e2e.step.
func (c *cluster) step() api.Queue {
	c.t.Helper()
	var queue api.Queue
	require.NoError(c.t, c.Get(c.t.Context(), "/queues/e2e.step", nil, &queue))
	return queue
}

// TestPolicies_Live changes limit and key of a queue in which enforcements wait. No process restarts, and no enforcement arrives
// after a change of the limit. The grants are in order, and name the revision that allows them.
func TestPolicies_Live(t *testing.T) {
	t.Parallel()
	const each = 6
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(0)})
	c.start()
	for n := range each {
		c.run("e2e.step", map[string]any{"n": n, "ms": 1})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == each })

	code, output := c.attune("policy", "set", "action", "e2e.step", "limit=1", "--note", "open", "--url", c.base)
	require.Zero(t, code, output)
	require.Contains(t, output, "the policy of action e2e.step has revision 1: ")
	c.eventually("all have ended", func() bool { return c.stats("e2e.step").TotalCompleted == each })
	opened := c.step().Policy.Revision

	c.setPolicy("action/e2e.step", `{"limit":0}`)
	for n := each; n < 2*each; n++ {
		c.run("e2e.step", map[string]any{"n": n, "ms": 1, "tenant": "t0"})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == each })
	c.setPolicy("action/e2e.step", `{"key":"parameters.tenant"}`)
	for n := 2 * each; n < 3*each; n++ {
		c.run("e2e.step", map[string]any{"n": n, "ms": 1, "tenant": fmt.Sprintf("t%d", n%2)})
	}
	c.eventually("all wait", func() bool { return c.stats("e2e.step").QueueLength == 2*each })
	changed := c.setPolicy("action/e2e.step", `{"limit":1}`)
	require.EqualValues(t, 1, changed.Told+changed.NotTold)
	reopened := c.step().Policy.Revision
	require.Equal(t, map[string]int{"succeeded": 3 * each}, c.finishDropping(3*each, 0))

	grants, err := client.List[api.Grant](t.Context(), c.Client, "/queues/e2e.step/grants", nil)
	require.NoError(t, err)
	slices.Reverse(grants)
	var lanes []int32
	for n, grant := range grants {
		require.EqualValues(t, n+1, grant.Sequence, "order is kept")
		want := opened
		if n >= each {
			want = reopened
		}
		require.Equal(t, want, grant.Revision)
		lanes = append(lanes, grant.Lane)
	}
	require.Equal(t, slices.Repeat([]int32{0}, 2*each), lanes[:2*each], "those that wait keep their lane")
	require.Equal(t, slices.Repeat([]int32{1, 2}, each/2), lanes[2*each:])

	code, output = c.attune("policy", "explain", "e2e.step", "--url", c.base)
	require.Zero(t, code, output)
	require.Regexp(t, `limit +1 +action e2e\.step +person +4\n`, output)
	require.Regexp(t, `key +parameters\.tenant +action e2e\.step +person +4\n`, output)
	code, output = c.attune("policy", "unset", "action", "e2e.step", "--all", "--url", c.base)
	require.Zero(t, code, output)
	require.Equal(t, 0, c.step().Limit.InForce, "what the pack says is in force again")
}

// TestPolicies_Until: a document ends at its time, with no request and no arrival.
func TestPolicies_Until(t *testing.T) {
	t.Parallel()
	c := newCluster(t, map[string]string{"actions/step.yaml": stepAction(1)})
	c.start()
	c.setPolicy("pack/e2e", `{"max_attempts":1}`)
	until := time.Now().Add(3 * time.Second).UTC()
	status, answer := c.api(http.MethodPut, "policies/action/e2e.step", fmt.Sprintf(`{"policy":{"limit":0},"until":%q}`, until.Format(time.RFC3339Nano)))
	require.Equal(t, http.StatusOK, status, answer)
	c.run("e2e.step", map[string]any{"n": 1, "ms": 1})
	require.Equal(t, map[string]int{"succeeded": 1}, c.finishDropping(1, 0))
	grants, err := client.List[api.Grant](t.Context(), c.Client, "/queues/e2e.step/grants", nil)
	require.NoError(t, err)
	require.True(t, grants[0].GrantedAt.After(until), "granted at %s, and the document ended at %s", grants[0].GrantedAt, until)
	t.Logf("measured: in force %s after the end of a document", grants[0].GrantedAt.Sub(until).Round(time.Millisecond))
	require.Equal(t, grants[0].Revision, c.step().Policy.Revision)
	_, answer = c.api(http.MethodGet, "policies/action/e2e.step", "")
	require.NotContains(t, answer, `"person"`)
}

// TestPolicies_ManyQueues changes a limit for many queues in which enforcements wait, and measures when each queue decides its first
// grant under the new limit.
//
// Short: 10 queues, 3 changes. Long: 100 queues, 50 changes.
func TestPolicies_ManyQueues(t *testing.T) {
	t.Parallel()
	lags, answers := changeManyQueues(t, size(10, 100), size(3, 50))
	t.Logf("measured: %d changes, answered after p50 %s, p99 %s; %d first grants, p50 %s, p99 %s, at most %s", len(answers),
		quantile(answers, 50), quantile(answers, 99), len(lags), quantile(lags, 50), quantile(lags, 99), quantile(lags, 100))
}

// TestPolicies_ThousandsOfQueues is the same for one change. Short: 20 queues. Long: 10 000 queues.
func TestPolicies_ThousandsOfQueues(t *testing.T) {
	t.Parallel()
	lags, _ := changeManyQueues(t, size(20, 10_000), 1)
	t.Logf("measured: %d queues, in force after p50 %s, p99 %s, at most %s", len(lags), quantile(lags, 50), quantile(lags, 99), quantile(lags, 100))
}

func quantile(sorted []time.Duration, percent int) time.Duration {
	return sorted[(len(sorted)-1)*percent/100].Round(time.Millisecond)
}

// changeManyQueues raises the global limit by 1 so often. It returns, sorted, the time from each change to the first grant under it in
// each queue, and how long each change took until its answer. An answer comes when all queues are told, or after 2 s.
func changeManyQueues(t *testing.T, queues, changes int) (lags, answers []time.Duration) {
	t.Helper()
	var pack strings.Builder
	pack.WriteString("name: many\nactions:\n")
	for q := range queues {
		fmt.Fprintf(&pack, "  a%d: {command: [\"true\"], pool: nowhere}\n", q)
	}
	c := newCluster(t, map[string]string{"pack.yaml": pack.String()})
	c.start("--roles=api,orchestrator,bridge")
	c.setPolicy("global", `{"limit":0}`)
	var senders sync.WaitGroup
	for sender := range 8 {
		senders.Go(func() {
			for n := sender; n < queues*changes; n += 8 {
				c.run(fmt.Sprintf("many.a%d", n%queues), map[string]any{})
			}
		})
	}
	senders.Wait()
	c.eventuallySum(queues*changes, func(q attune.QueueStats) int64 { return q.QueueLength })

	for limit := 1; limit <= changes; limit++ {
		began := time.Now()
		changed := c.setPolicy("global", fmt.Sprintf(`{"limit":%d}`, limit))
		answers = append(answers, time.Since(began))
		t.Logf("change %d: answered after %s, told %d, not told %d", limit, time.Since(began).Round(time.Millisecond), changed.Told, changed.NotTold)
		require.EqualValues(t, queues, changed.Told+changed.NotTold)
		c.eventuallySum(queues*limit, func(q attune.QueueStats) int64 { return q.ActiveCount })
		for q := range queues {
			var grants api.List[api.Grant]
			require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/queues/many.a%d/grants", q), map[string][]string{"limit": {"1"}}, &grants))
			require.Equal(t, limit, grants.Items[0].Limit)
			require.EqualValues(t, limit, grants.Items[0].Sequence)
			lags = append(lags, grants.Items[0].GrantedAt.Sub(changed.Person.UpdatedAt))
		}
	}
	slices.Sort(lags)
	slices.Sort(answers)
	return lags, answers
}

// eventuallySum waits until a count of all queues together is n. The timeout bounds the wait for each change of the sum.
func (c *cluster) eventuallySum(n int, count func(attune.QueueStats) int64) {
	c.t.Helper()
	for sum := int64(-1); sum < int64(n); {
		before := sum
		c.eventually(fmt.Sprintf("the queues have more than %d of %d", before, n), func() bool {
			queues, err := client.List[attune.QueueStats](c.t.Context(), c.Client, "/queues", nil)
			require.NoError(c.t, err)
			sum = 0
			for _, q := range queues {
				sum += count(q)
			}
			return sum > before
		})
	}
}
