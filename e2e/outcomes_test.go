package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func outcomesPack() map[string]string {
	return map[string]string{
		"triggers/push.yaml": "description: a push\nwebhook:\n  key: e2e-push\n  secret_env: E2E_WEBHOOK_SECRET\n  dedup_header: X-Delivery\n",
		"actions/good.yaml":  "description: succeeds\ncommand: [sh, -c, 'cat']\n",
		"actions/bad.yaml":   "description: fails\ncommand: [sh, -c, 'echo out; echo no good >&2; exit 3']\n",
		"actions/slow.yaml":  "description: takes too long\ncommand: [sh, -c, 'sleep 600']\ntimeout: 300ms\n",
		"actions/long.yaml":  "description: waits to be cancelled\ncommand: [sh, -c, 'sleep 600']\n",
		"rules/on.yaml": "description: pushes to main\ntrigger: e2e.push\ncriteria: payload.branch == 'main'\naction: e2e.good\n" +
			"parameters:\n  branch: '{{ payload.branch }}'\n  count: '{{ payload.commits.size() }}'\n",
		"rules/off.yaml": "description: disabled\nenabled: false\ntrigger: e2e.push\naction: e2e.bad\n",
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	c := newCluster(t, outcomesPack())
	c.start()
	execution := func(id attune.EnforcementID) attune.Execution {
		var page struct{ Items []attune.Execution }
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/executions?enforcement=%d", id), nil, &page))
		if len(page.Items) == 0 {
			return attune.Execution{}
		}
		var x attune.Execution
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/executions/%d", page.Items[0].ID), nil, &x))
		return x
	}
	good := c.run("e2e.good", map[string]any{"answer": 42})
	bad := c.run("e2e.bad", map[string]any{})
	slow := c.run("e2e.slow", map[string]any{})
	long := c.run("e2e.long", map[string]any{})

	c.eventually("the long one runs", func() bool { return execution(long).Status == attune.ExecutionRunning })
	require.NoError(t, c.Post(t.Context(), fmt.Sprintf("/executions/%d/cancel", execution(long).ID), nil, nil))
	for id, want := range map[attune.EnforcementID]attune.Execution{
		good: {Status: attune.ExecutionSucceeded},
		bad:  {Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode},
		slow: {Status: attune.ExecutionTimedOut, Reason: attune.ReasonTimeout},
		long: {Status: attune.ExecutionCancelled, Reason: attune.ReasonCancelled},
	} {
		c.eventually("it has ended: "+string(want.Status), func() bool { return execution(id).Status.Terminal() })
		got := execution(id)
		require.Equal(t, want.Status, got.Status)
		require.Equal(t, want.Reason, got.Reason)
		require.NotNil(t, got.FinishedAt)
	}
	require.JSONEq(t, `{"answer": 42}`, string(execution(good).Result))
	require.Equal(t, 3, *execution(bad).ExitCode)
	require.Equal(t, "no good\n", execution(bad).Stderr)
	for _, action := range []string{"e2e.good", "e2e.bad", "e2e.slow", "e2e.long"} {
		c.finish(action, 1, 1)
	}
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	c := newCluster(t, outcomesPack())
	c.start()
	deliver := func(body, secret, delivery string) (int, string) {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(body))
		return c.http(http.MethodPost, "/api/v1/webhooks/e2e-push", http.Header{
			"Content-Type": {"application/json"}, "X-Delivery": {delivery},
			"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
		}, body)
	}
	push := `{"branch":"main","commits":[{"id":"a"},{"id":"b"}]}`

	t.Run("a signed delivery runs what matches, and nothing of a disabled rule", func(t *testing.T) {
		status, body := deliver(push, "swordfish", "one")
		require.Equal(t, http.StatusAccepted, status, body)
		c.finish("e2e.good", 1, 1)
		rows := c.rows("e2e.good")
		var enforcement attune.Enforcement
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", rows[0].Enforcement.ID), nil, &enforcement))
		require.JSONEq(t, `{"branch":"main","count":2}`, string(enforcement.Parameters), "types are kept")
		require.Equal(t, attune.Ref("e2e.on"), enforcement.Rule)
		require.Empty(t, c.rows("e2e.bad"))
	})

	t.Run("a redelivery is recognised", func(t *testing.T) {
		status, body := deliver(push, "swordfish", "one")
		require.Less(t, status, 300, body)
		var answer struct{ Duplicate bool }
		require.NoError(t, json.Unmarshal([]byte(body), &answer))
		require.True(t, answer.Duplicate)
		require.Len(t, c.rows("e2e.good"), 1)
	})

	t.Run("criteria that say no create nothing", func(t *testing.T) {
		status, body := deliver(`{"branch":"feature","commits":[]}`, "swordfish", "two")
		require.Equal(t, http.StatusAccepted, status, body)
		require.Len(t, c.rows("e2e.good"), 1)
	})

	t.Run("criteria that cannot be evaluated are a recorded rejection", func(t *testing.T) {
		status, body := deliver(`{"commits":[]}`, "swordfish", "three")
		require.Equal(t, http.StatusAccepted, status, body)
		var page struct{ Items []attune.Enforcement }
		require.NoError(t, c.Get(t.Context(), "/enforcements?status=rejected", nil, &page))
		require.Len(t, page.Items, 1)
		require.Equal(t, attune.ReasonCriteriaFailed, page.Items[0].Reason)
		require.Contains(t, page.Items[0].Detail, "branch")
	})

	t.Run("what is not right is refused and leaves nothing", func(t *testing.T) {
		before := len(events(t, c))
		for name, tt := range map[string]struct {
			status int
			do     func() (int, string)
			says   string
		}{
			"wrong signature": {401, func() (int, string) { return deliver(push, "wrong", "four") }, "signature"},
			"malformed JSON":  {400, func() (int, string) { return deliver(`{"branch":`, "swordfish", "five") }, "JSON"},
			"unknown key": {404, func() (int, string) {
				return c.http(http.MethodPost, "/api/v1/webhooks/other", http.Header{"Content-Type": {"application/json"}}, push)
			}, "webhook"},
			"no token": {401, func() (int, string) { return c.http(http.MethodGet, "/api/v1/events", nil, "") }, "token"},
			"unknown trigger": {404, func() (int, string) {
				return c.http(http.MethodPost, "/api/v1/events", http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}},
					`{"trigger":"e2e.nothing","payload":{}}`)
			}, "e2e.nothing"},
			"unknown action": {404, func() (int, string) {
				return c.http(http.MethodGet, "/api/v1/actions/e2e.nothing/queue-stats", http.Header{"Authorization": {"Bearer " + token}}, "")
			}, "e2e.nothing"},
		} {
			status, body := tt.do()
			require.Equal(t, tt.status, status, "%s: %s", name, body)
			require.Contains(t, body, tt.says, name)
			require.Contains(t, body, `"status":`+fmt.Sprint(tt.status), name)
		}
		require.Len(t, events(t, c), before)
	})
}

func events(t *testing.T, c *cluster) []attune.Event {
	t.Helper()
	var page struct{ Items []attune.Event }
	require.NoError(t, c.Get(t.Context(), "/events", nil, &page))
	return page.Items
}
