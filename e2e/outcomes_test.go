package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

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
	good := c.run("e2e.good", map[string]any{"answer": 42})
	bad := c.run("e2e.bad", map[string]any{})
	slow := c.run("e2e.slow", map[string]any{})
	long := c.run("e2e.long", map[string]any{})

	c.cancel(long)
	for id, want := range map[attune.EnforcementID]attune.Execution{
		good: {Status: attune.ExecutionSucceeded},
		bad:  {Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode},
		slow: {Status: attune.ExecutionTimedOut, Reason: attune.ReasonTimeout},
		long: {Status: attune.ExecutionCancelled, Reason: attune.ReasonCancelled},
	} {
		c.eventually("it has ended: "+string(want.Status), func() bool { return c.executionOf(id).Status.Terminal() })
		got := c.executionOf(id)
		require.Equal(t, want.Status, got.Status)
		require.Equal(t, want.Reason, got.Reason)
		require.NotNil(t, got.FinishedAt)
		var run attune.Enforcement
		require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/enforcements/%d", id), nil, &run))
		require.NotNil(t, run.Author, "a direct run has an author")
		require.Equal(t, attune.Principal{Name: "bootstrap", Method: attune.AuthToken}, run.Author.Principal)
		for _, pair := range [][2]*time.Time{
			{&run.CreatedAt, run.QueuedAt}, {run.QueuedAt, run.GrantedAt}, {run.GrantedAt, run.FinishedAt},
			{&got.RequestedAt, got.StartedAt}, {got.StartedAt, got.FinishedAt},
		} {
			require.False(t, pair[1].Before(*pair[0]), "the times of a row increase: %+v %+v", run, got)
		}
	}
	var cancelled struct{ Changes []attune.ExecutionChange }
	require.NoError(t, c.Get(t.Context(), fmt.Sprintf("/executions/%d", c.executionOf(long).ID), nil, &cancelled))
	require.Len(t, cancelled.Changes, 1)
	require.Equal(t, "bootstrap for ada", cancelled.Changes[0].Who())
	require.Equal(t, [2]string{"running", "cancelling"}, [2]string{cancelled.Changes[0].From, cancelled.Changes[0].To})
	require.JSONEq(t, `{"answer": 42}`, string(c.executionOf(good).Result))
	require.Equal(t, 3, *c.executionOf(bad).ExitCode)
	require.Equal(t, "no good\n", c.executionOf(bad).Stderr)
	for _, action := range []string{"e2e.good", "e2e.bad", "e2e.slow", "e2e.long"} {
		c.finish(action, 1, 1)
	}
}

// TestWebhook sends deliveries in one sequence: each step depends on the steps before.
func TestWebhook(t *testing.T) {
	t.Parallel()
	h := hook{newCluster(t, outcomesPack())}
	h.start()
	h.runsTheMatchingRule()
	h.recognisesARedelivery()
	h.ignoresFalseCriteria()
	h.recordsFailedCriteria()
	h.refusesInvalidDeliveries()
}

const push = `{"branch":"main","commits":[{"id":"a"},{"id":"b"}]}`

// hook is a cluster with the webhook of outcomesPack.
type hook struct{ *cluster }

// deliver posts a delivery that is signed with secret.
func (h hook) deliver(body, secret, delivery string) (status int, answer string) {
	h.t.Helper()
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return h.http(http.MethodPost, "/api/v1/webhooks/e2e-push", http.Header{
		"Content-Type": {"application/json"}, "X-Delivery": {delivery},
		"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
	}, body)
}

// runsTheMatchingRule posts a delivery that matches two rules; the disabled rule creates no enforcement.
func (h hook) runsTheMatchingRule() {
	h.t.Helper()
	status, body := h.deliver(push, "swordfish-swordfish", "one")
	require.Equal(h.t, http.StatusAccepted, status, body)
	h.finish("e2e.good", 1, 1)
	rows := h.rows("e2e.good")
	var enforcement attune.Enforcement
	require.NoError(h.t, h.Get(h.t.Context(), fmt.Sprintf("/enforcements/%d", rows[0].Enforcement.ID), nil, &enforcement))
	require.JSONEq(h.t, `{"branch":"main","count":2}`, string(enforcement.Parameters), "types are kept")
	require.Equal(h.t, attune.Ref("e2e.on"), enforcement.Rule)
	require.Empty(h.t, h.rows("e2e.bad"))
}

func (h hook) recognisesARedelivery() {
	h.t.Helper()
	status, body := h.deliver(push, "swordfish-swordfish", "one")
	require.Less(h.t, status, 300, body)
	var answer struct{ Duplicate bool }
	require.NoError(h.t, json.Unmarshal([]byte(body), &answer))
	require.True(h.t, answer.Duplicate)
	require.Len(h.t, h.rows("e2e.good"), 1)
}

func (h hook) ignoresFalseCriteria() {
	h.t.Helper()
	status, body := h.deliver(`{"branch":"feature","commits":[]}`, "swordfish-swordfish", "two")
	require.Equal(h.t, http.StatusAccepted, status, body)
	require.Len(h.t, h.rows("e2e.good"), 1)
}

func (h hook) recordsFailedCriteria() {
	h.t.Helper()
	status, body := h.deliver(`{"commits":[]}`, "swordfish-swordfish", "three")
	require.Equal(h.t, http.StatusAccepted, status, body)
	var page struct{ Items []attune.Enforcement }
	require.NoError(h.t, h.Get(h.t.Context(), "/enforcements?status=rejected", nil, &page))
	require.Len(h.t, page.Items, 1)
	require.Equal(h.t, attune.ReasonCriteriaFailed, page.Items[0].Reason)
	require.Contains(h.t, page.Items[0].Detail, "branch")
}

// refusesInvalidDeliveries posts deliveries that get a problem as the response and leave no event.
func (h hook) refusesInvalidDeliveries() {
	h.t.Helper()
	before := len(h.events())
	for name, tt := range map[string]struct {
		status int
		do     func() (int, string)
		want   string
	}{
		"wrong signature": {401, func() (int, string) { return h.deliver(push, "wrong", "four") }, "signature"},
		"malformed JSON":  {400, func() (int, string) { return h.deliver(`{"branch":`, "swordfish-swordfish", "five") }, "JSON"},
		"unknown key": {404, func() (int, string) {
			return h.http(http.MethodPost, "/api/v1/webhooks/other", http.Header{"Content-Type": {"application/json"}}, push)
		}, "webhook"},
		"no token": {401, func() (int, string) { return h.http(http.MethodGet, "/api/v1/events", nil, "") }, "token"},
		"unknown trigger": {404, func() (int, string) {
			return h.api(http.MethodPost, "events", `{"trigger":"e2e.nothing","payload":{}}`)
		}, "e2e.nothing"},
		"unknown action": {404, func() (int, string) {
			return h.api(http.MethodGet, "actions/e2e.nothing/queue-stats", "")
		}, "e2e.nothing"},
	} {
		status, body := tt.do()
		require.Equal(h.t, tt.status, status, "%s: %s", name, body)
		require.Contains(h.t, body, tt.want, name)
		require.Contains(h.t, body, `"status":`+fmt.Sprint(tt.status), name)
	}
	require.Len(h.t, h.events(), before)
}

func (h hook) events() []attune.Event {
	h.t.Helper()
	var page struct{ Items []attune.Event }
	require.NoError(h.t, h.Get(h.t.Context(), "/events", nil, &page))
	return page.Items
}
