package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// queueControl lets every change of the queue shop.deploy succeed.
func (b *bundle) queueControl() {
	b.queues.stats = func(attune.QueueKey) (attune.QueueStats, error) { return attune.QueueStats{}, nil }
	b.control.mode = func(key attune.QueueKey, mode attune.QueueMode, _ attune.Author) (attune.QueueStatus, error) {
		return attune.QueueStatus{Queue: key, Mode: mode}, nil
	}
}

// countingReader never ends, and counts the bytes that were read.
type countingReader struct{ read int }

func (c *countingReader) Read(data []byte) (int, error) {
	c.read += len(data)
	if c.read > 1<<20 {
		return 0, io.ErrUnexpectedEOF
	}
	return len(data), nil
}

func TestAudit_Changes(t *testing.T) {
	t.Parallel()

	t.Run("a change is recorded before it is made, and its outcome after it", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) {
			require.Equal(t, 1, b.audit.count(), "the entry is there when the change is made")
			return attune.QueueStatus{}, nil
		}
		in := request{
			http.MethodPost, "/api/v1/queues/shop.deploy/pause", `{"on_behalf_of": "ada", "note": "maintenance"}`,
			[]string{b.as(auth.RoleOperator)},
		}
		require.Equal(t, http.StatusOK, b.do(t, in).Code)
		want := auth.AuditEntry{
			ID: 1, At: noon, Principal: &attune.Principal{Name: "some operator", Method: attune.AuthToken}, Role: auth.RoleOperator,
			Token: "abcdefgh", Action: "queue.pause", Subject: "shop.deploy", OnBehalfOf: "ada", Note: "maintenance",
			RequestID: requestID, Remote: "192.0.2.1",
		}
		require.Empty(t, cmp.Diff([]auth.AuditEntry{want}, b.audit.added))
		want.Status = http.StatusOK
		require.Empty(t, cmp.Diff([]auth.AuditEntry{want}, b.audit.entries))
	})

	t.Run("a change that cannot be recorded is not made", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) {
			t.Error("the change was made")
			return attune.QueueStatus{}, nil
		}
		b.audit.fail = errDown
		requireProblem(t, b.do(t, post("/api/v1/queues/shop.deploy/pause", "")), 503, "unavailable")
	})

	t.Run("an outcome that cannot be recorded leaves the entry without a status", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) {
			b.audit.fail = errDown
			return attune.QueueStatus{}, nil
		}
		require.Equal(t, http.StatusOK, b.do(t, post("/api/v1/queues/shop.deploy/pause", "")).Code, "the change was made")
		require.Zero(t, b.audit.entries[0].Status)
		require.Contains(t, b.log.String(), `msg="the outcome of a request is not in the audit log" action=queue.pause subject=shop.deploy status=200`)
	})

	t.Run("the outcome is recorded when the caller has gone or the handler panics", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		ctx, cancel := context.WithCancel(t.Context())
		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) {
			cancel()
			return attune.QueueStatus{}, attune.Errorf(attune.CodeConflict, "it is paused")
		}
		b.server(t).Handler().ServeHTTP(httptest.NewRecorder(), post("/api/v1/queues/shop.deploy/pause", "").build(t).WithContext(ctx))
		require.Equal(t, http.StatusConflict, b.audit.entries[0].Status)

		b.control.mode = func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error) { panic("a bug") }
		b.do(t, post("/api/v1/queues/shop.deploy/pause", ""))
		require.Equal(t, http.StatusInternalServerError, b.audit.entries[1].Status)
	})

	t.Run("a request that reads leaves no entry", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.do(t, get("/api/v1/queues"))
		b.do(t, request{http.MethodHead, "/api/v1/rules", "", nil})
		b.do(t, get("/api/v1/audit"))
		require.Empty(t, b.audit.entries)
	})

	t.Run("events and runs have their authors in their rows, and no entry", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.do(t, post("/api/v1/events", `{"trigger": "github.push", "payload": {}}`))
		b.do(t, post("/api/v1/actions/shop.deploy/run", `{}`))
		b.do(t, delivery("gh", `{}`))
		require.Len(t, b.recorder.events, 3)
		require.Empty(t, b.audit.entries)
	})

	t.Run("an entry names what was asked for", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, tt := range []struct{ path, body, action, subject string }{
			{"/api/v1/rules/github.deploy/enable", "", "rule.enable", "github.deploy"},
			{"/api/v1/enforcements/11/retry", "", "enforcement.retry", "11"},
			{"/api/v1/executions/21/cancel", "", "execution.cancel", "21"},
			{"/api/v1/queues/a%2Fb%0Ac/limit/clear", "", "queue-limit.clear", "a/b\nc"},
			{"/api/v1/tokens", `{"name": "ci", "role": "viewer"}`, "token.create", "ci"},
			{"/api/v1/tokens/ci/revoke", "", "token.revoke", "ci"},
			{"/api/v1/rules/%1b%5b31m/disable", "", "rule.disable", `\u001b[31m`},
		} {
			b.do(t, post(tt.path, tt.body))
			last := b.audit.entries[len(b.audit.entries)-1]
			require.Equal(t, [2]string{tt.action, tt.subject}, [2]string{last.Action, last.Subject})
		}
	})

	t.Run("a body without an end is read up to the limit of the request, and recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		r := request{http.MethodDelete, "/api/v1/secrets/TOKEN", "", nil}.build(t)
		body := &countingReader{}
		r.Body = io.NopCloser(body)
		b.server(t).Handler().ServeHTTP(httptest.NewRecorder(), r)
		require.Equal(t, "secret.remove", b.audit.entries[0].Action)
		require.Equal(t, "TOKEN", b.audit.entries[0].Subject)
		require.Equal(t, http.StatusRequestEntityTooLarge, b.audit.entries[0].Status)
		require.LessOrEqual(t, int64(body.read), int64(576<<10+1))
		require.Empty(t, b.vault.removed)
	})

	t.Run("texts that the handler refuses are not recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireProblem(t, b.do(t, post("/api/v1/rules/github.deploy/enable", `{"note": "a\u0000b", "on_behalf_of": "a\nb"}`)), 422, "invalid")
		require.Equal(t, http.StatusUnprocessableEntity, b.audit.entries[0].Status)
		require.Empty(t, b.audit.entries[0].Note+b.audit.entries[0].OnBehalfOf)
	})
}

func TestAudit_Refusals(t *testing.T) {
	t.Parallel()

	t.Run("a caller without the right is recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, path := range []string{"/api/v1/queues/shop.deploy/pause", "/api/v1/actions/shop.deploy/run", "/api/v1/events"} {
			requireProblem(t, b.do(t, request{http.MethodPost, path, `{}`, []string{b.as(auth.RoleViewer)}}), 403, "forbidden")
		}
		requireProblem(t, b.do(t, request{http.MethodGet, "/api/v1/audit", "", []string{b.as(auth.RoleViewer)}}), 403, "forbidden")
		require.Equal(t, []string{"queue.pause", "action.run", "event.post"}, b.audited(http.StatusForbidden))
		require.Equal(t, "some viewer", b.audit.entries[0].Principal.Name)
	})

	t.Run("an event of another trigger is recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		header := []string{b.as(auth.RoleEvent, "github.push")}
		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/events", `{"trigger": "a.b", "payload": {}}`, header}), 403, "forbidden")
		require.Equal(t, "a.b", b.audit.entries[0].Subject)
		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/events", `{"trigger"`, header}), 400, "malformed")
		require.Equal(t, []string{"event.post"}, b.audited(http.StatusForbidden))
	})

	t.Run("a request that is refused before its handler is recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireProblem(t, b.do(t, post("/api/v1/queues/shop.deploy/pause", `{"note"`)), 400, "malformed")
		requireProblem(t, b.do(t, post("/api/v1/queues/shop.deploy/pause?force=1", "")), 422, "invalid")
		requireProblem(t, b.do(t, post("/api/v1/queues/shop.deploy/pause", strings.Repeat(" ", 600<<10))), 413, "too_large")
		require.Equal(t, []int{400, 422, 413}, []int{b.audit.entries[0].Status, b.audit.entries[1].Status, b.audit.entries[2].Status})
	})

	t.Run("requests without a valid token are recorded, and cannot fill the log", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for range 100 {
			b.do(t, request{http.MethodPost, "/api/v1/queues/shop.deploy/pause", "", []string{"Authorization: Bearer wrong"}})
		}
		entries := len(b.audit.entries)
		require.GreaterOrEqual(t, entries, 20)
		require.Less(t, entries, 100)
		first := b.audit.entries[0]
		require.Nil(t, first.Principal)
		require.Equal(t, auth.AuditEntry{
			ID: 1, At: noon, Action: "queue.pause", Subject: "shop.deploy", RequestID: requestID, Remote: "192.0.2.1", Status: 401,
		}, first)
		b.do(t, request{http.MethodPost, "/api/v1/nothing", "", []string{"Authorization:"}})
		b.do(t, request{http.MethodGet, "/api/v1/queues", "", []string{"Authorization:"}})
		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/tokens", "{}", []string{b.as(auth.RoleViewer)}}), 403, "forbidden")
		require.Len(t, b.audit.entries, entries+1, "callers with a token are not held up by strangers")
	})

	t.Run("denied requests of a principal cannot fill the log, and the next entry has their number", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queueControl()
		viewer, operator := b.as(auth.RoleViewer), b.as(auth.RoleOperator)
		const denied = 100
		for range denied / 2 {
			requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/queues/shop.deploy/pause", "", []string{viewer}}), 403, "forbidden")
			requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/actions/shop.deploy/run", `{}`, []string{viewer}}), 403, "forbidden")
		}
		entries, omitted := len(b.audit.entries), b.metrics.of("limited audit")
		require.Less(t, entries, denied)
		require.Equal(t, denied, entries+omitted)
		counted := 0
		for _, entry := range b.audit.entries {
			counted += entry.Omitted
		}
		require.LessOrEqual(t, counted, omitted)

		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/tokens", "{}", []string{operator}}), 403, "forbidden")
		require.Len(t, b.audit.entries, entries+1, "another principal has its own bound")
		for range denied {
			require.Equal(t, http.StatusOK, b.do(t, post("/api/v1/queues/shop.deploy/pause", "")).Code)
		}
		require.Len(t, b.audit.entries, entries+1+denied, "a request whose handler runs has its entry, however many there are")
	})

	t.Run("a denial stands when it cannot be recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.audit.fail = errDown
		requireProblem(t, b.do(t, request{http.MethodPost, "/api/v1/tokens", "{}", []string{b.as(auth.RoleViewer)}}), 403, "forbidden")
		require.Contains(t, b.log.String(), "the outcome of a request is not in the audit log")
	})
}

// audited lists the actions of the entries, which all have the same status.
func (b *bundle) audited(status int) (actions []string) {
	for _, entry := range b.audit.entries {
		if entry.Status == status {
			actions = append(actions, entry.Action)
		}
	}
	return actions
}

func TestAudit_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.audit.entries = []auth.AuditEntry{{
		ID: 9, At: noon, Principal: &admin.Principal, Role: auth.RoleAdmin, Action: "queue.pause", Subject: "shop.deploy",
		RequestID: "r-1", Remote: "192.0.2.1", Status: 200,
	}, {ID: 8, At: noon, Action: "token.create", RequestID: "r-0", Remote: "192.0.2.1"}}
	requireJSON(t, `{"items": [
		{"id": 9, "at": "2030-01-02T12:00:00Z", "principal": {"name": "admin", "method": "token"}, "role": "admin", "action": "queue.pause",
			"subject": "shop.deploy", "request_id": "r-1", "remote": "192.0.2.1", "status": 200},
		{"id": 8, "at": "2030-01-02T12:00:00Z", "action": "token.create", "request_id": "r-0", "remote": "192.0.2.1"}
	], "next": "YmVmb3JlOjg"}`, b.do(t, get("/api/v1/audit?limit=2&principal=admin&action=queue.pause&subject=shop.deploy")))
	require.Equal(t, auth.AuditFilter{Principal: "admin", Action: "queue.pause", Subject: "shop.deploy"}, b.audit.filter)
	require.Equal(t, 2, b.audit.page.Limit)
	requireProblem(t, b.do(t, get("/api/v1/audit?subject=a%00b")), 422, "invalid")
	requireProblem(t, b.do(t, request{http.MethodGet, "/api/v1/audit", "", []string{b.as(auth.RoleOperator)}}), 403, "forbidden")
}

// The detail of a policy is bounded, and can always be stored.
func TestAudit_PolicyDetail(t *testing.T) {
	t.Parallel()
	b := setup(t)
	long := strings.Repeat("x", 70_000)
	b.change(t, http.MethodPut, deployDocument, `{"policy":{"key":"`+long+`"}}`)
	require.JSONEq(t, `{"omitted_bytes": 70021}`, string(b.audit.entries[0].Detail))
	b.change(t, http.MethodPut, deployDocument, "{\"policy\":{\"key\":\"a\xff\"}}")
	for _, entry := range b.audit.entries {
		require.True(t, utf8.Valid(entry.Detail))
	}
	b.change(t, http.MethodDelete, deployDocument, "")
	require.Empty(t, b.audit.entries[len(b.audit.entries)-1].Detail)
}
