package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestRunAction(t *testing.T) {
	t.Parallel()

	t.Run("a run is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorder := b.do(t, post("/api/v1/actions/shop.deploy/run", `{"parameters": {"version": 3}, "on_behalf_of": "sam", "note": "the disk is empty again"}`))
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
		require.Equal(t, "/api/v1/enforcements/11", recorder.Header().Get("Location"))
		requireJSON(t, `{"enforcement_id": 11, "event_id": 7, "action": "shop.deploy", "status": "created", "duplicate": false}`, recorder)

		event := b.recorder.only(t)
		require.Equal(t, attune.ManualTrigger, event.Trigger)
		require.Equal(t, attune.SourceManual, event.Source)
		require.Empty(t, event.DedupKey)
		require.Equal(t, &samAuthor, event.Author)
		require.JSONEq(t, `{"action": "shop.deploy", "parameters": {"version": 3}}`, string(event.Payload))
		require.Equal(t, 1, b.metrics.of("event manual"))
		require.Equal(t, 1, b.metrics.of("enforcement created"))
	})

	t.Run("a run without a body is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.engine.manual = func(action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
			require.Empty(t, parameters)
			return attune.Decision{ActionID: action.ID, Parameters: json.RawMessage(`{}`), Status: attune.EnforcementCreated}, nil
		}
		require.Equal(t, http.StatusAccepted, b.do(t, post("/api/v1/actions/shop.deploy/run", "")).Code)
		require.JSONEq(t, `{"action": "shop.deploy", "parameters": {}}`, string(b.recorder.only(t).Payload))
	})

	// All direct runs share one trigger, so the recorded dedup key includes the action.
	t.Run("an idempotency key belongs to its action", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		in := post("/api/v1/actions/shop.deploy/run", `{}`)
		in.header = []string{"Idempotency-Key: k-1"}
		require.Equal(t, http.StatusAccepted, b.do(t, in).Code)
		require.Equal(t, "shop.deploy/k-1", b.recorder.only(t).DedupKey)
	})
}

func TestRunActionErrors(t *testing.T) {
	t.Parallel()

	const path = "/api/v1/actions/shop.deploy/run"
	cases := []struct {
		name   string
		in     request
		arm    func(*bundle)
		status int
		code   string
		detail string
	}{
		{"an unknown action is refused", post("/api/v1/actions/shop.nope/run", `{}`), nil, 404, "not_found", `there is no action "shop.nope"`},
		{"a malformed reference is refused", post("/api/v1/actions/deploy/run", `{}`), nil, 404, "not_found", `reference "deploy" is not of the form "pack.name"`},
		{"a disabled action is refused", post(path, `{}`), func(b *bundle) {
			b.actions.get = func(ref attune.Ref) (attune.Action, error) { return attune.Action{Ref: ref}, nil }
		}, 409, "conflict", `action "shop.deploy" is disabled`},
		{"parameters against the schema are refused", post(path, `{"parameters": {"version": "x"}}`), func(b *bundle) {
			b.engine.manual = func(attune.Action, json.RawMessage) (attune.Decision, error) {
				return attune.Decision{}, attune.Errorf(attune.CodeInvalid, "parameters: /version: got string, want integer")
			}
		}, 422, "invalid", "/version: got string, want integer"},
		{"malformed JSON is refused", post(path, `{"parameters":`), nil, 400, "malformed", "the body is not valid JSON"},
		{"an unknown field is refused", post(path, `{"params": {}}`), nil, 422, "invalid", "body.params: unexpected property"},
		{"a payload over the limit is refused", post(path, `{"parameters": {"x": "`+strings.Repeat("x", attune.MaxPayloadBytes)+`"}}`), nil,
			413, "too_large", "the parameters have more than 512 KiB"},
		{"a key over the limit is refused", request{http.MethodPost, path, `{}`, []string{"Idempotency-Key: " + strings.Repeat("k", 256)}}, nil,
			422, "invalid", "header.Idempotency-Key: 256 bytes are too many"},
		{"a run without an enforcement is an internal error", post(path, `{}`), func(b *bundle) {
			b.recorder.record = func(attune.Event, attune.DecideFunc) (attune.Recorded, error) {
				return attune.Recorded{}, nil
			}
		}, 500, "internal", "internal error"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if tc.arm != nil {
				tc.arm(b)
			}
			problem := requireProblem(t, b.do(t, tc.in), tc.status, tc.code)
			require.Contains(t, problem.Detail, tc.detail)
		})
	}
}

func TestGetAction(t *testing.T) {
	t.Parallel()

	limit := 3
	b := setup(t)
	b.actions.get = func(ref attune.Ref) (attune.Action, error) {
		if ref != "shop.deploy" {
			return attune.Action{}, notFound("action")
		}
		action := deployAction()
		action.Policy = &attune.Policy{Limit: &limit}
		return action, nil
	}
	recorder := b.do(t, get("/api/v1/actions/shop.deploy"))
	require.Equal(t, http.StatusOK, recorder.Code)
	requireJSON(t, `{
		"id": 4, "ref": "shop.deploy", "enabled": true, "command": ["./deploy.sh"], "timeout": "1m30s", "pool": "default",
		"policy": {"limit": 3}
	}`, recorder)
	requireProblem(t, b.do(t, get("/api/v1/actions/shop.nope")), 404, "not_found")
	requireProblem(t, b.do(t, get("/api/v1/actions/nope")), 404, "not_found")
}

func TestListActions(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.actions.list = func(page attune.Page) ([]attune.Action, error) {
		require.Equal(t, attune.Page{Limit: 1}, page)
		return []attune.Action{deployAction()}, nil
	}
	recorder := b.do(t, get("/api/v1/actions?limit=1"))
	require.Equal(t, http.StatusOK, recorder.Code)
	requireJSON(t, `{"items": [
		{"id": 4, "ref": "shop.deploy", "enabled": true, "command": ["./deploy.sh"], "timeout": "1m30s", "pool": "default"}
	], "next": "YmVmb3JlOjQ"}`, recorder)
}
