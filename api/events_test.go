package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestPostEvent(t *testing.T) {
	t.Parallel()

	t.Run("an event is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.engine.decide = func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
			require.JSONEq(t, `{"ref": "main", "big": 12345678901234567890}`, string(event.Payload))
			require.Len(t, candidates, 1)
			return []attune.Decision{
				{RuleID: 5, ActionID: 4, Status: attune.EnforcementCreated},
				{RuleID: 5, ActionID: 4, Status: attune.EnforcementRejected, Reason: attune.ReasonCriteriaFailed},
			}
		}
		recorder := b.do(t, post("/api/v1/events",
			`{"trigger": "github.push", "payload": {"ref": "main", "big": 12345678901234567890}, "dedup_key": "d-1"}`))

		require.Equal(t, http.StatusAccepted, recorder.Code)
		require.Equal(t, "application/json", recorder.Header().Get("Content-Type"))
		require.Equal(t, "/api/v1/events/7", recorder.Header().Get("Location"))
		requireJSON(t, `{
			"event": {
				"id": 7, "trigger": "github.push", "source": "api", "dedup_key": "d-1", "received_at": "2030-01-02T12:00:00Z",
				"author": {"principal": {"name": "admin", "method": "token"}}
			},
			"enforcements": [
				{"id": 11, "rule": "github.deploy", "action": "shop.deploy", "status": "created"},
				{"id": 12, "rule": "github.deploy", "action": "shop.deploy", "status": "rejected", "reason": "criteria_failed"}
			],
			"duplicate": false
		}`, recorder)
		require.Empty(t, cmp.Diff(attune.Event{
			Trigger: "github.push", Payload: json.RawMessage(`{"ref": "main", "big": 12345678901234567890}`),
			Source: attune.SourceAPI, DedupKey: "d-1", Author: &attune.Author{Principal: samAuthor.Principal},
		}, b.recorder.only(t)), "the payload is kept byte by byte")
		require.Equal(t, 1, b.metrics.of("event api"))
		require.Equal(t, 1, b.metrics.of("enforcement created"))
		require.Equal(t, 1, b.metrics.of("enforcement rejected criteria_failed"))
		require.Equal(t, 1, b.metrics.of("POST /api/v1/events Accepted"))
	})

	t.Run("an event without a matching rule is accepted", func(t *testing.T) {
		t.Parallel()
		recorder := setup(t).do(t, post("/api/v1/events", `{"trigger": "github.push", "payload": {}}`))
		require.Equal(t, http.StatusAccepted, recorder.Code)
		require.Contains(t, recorder.Body.String(), `"enforcements":[]`)
	})

	t.Run("the header Idempotency-Key is the dedup key", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		in := post("/api/v1/events", `{"trigger": "github.push", "payload": {}}`)
		in.header = []string{"Idempotency-Key: d-2"}
		require.Equal(t, http.StatusAccepted, b.do(t, in).Code)
		require.Equal(t, "d-2", b.recorder.only(t).DedupKey)
	})

	t.Run("a duplicate returns the first event", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.recorder.record = func(event attune.Event, _ attune.DecideFunc) (attune.Recorded, error) {
			event.ID, event.ReceivedAt = 6, noon
			return attune.Recorded{Event: event, Duplicate: true}, nil
		}
		recorder := b.do(t, post("/api/v1/events", `{"trigger": "github.push", "payload": {}, "dedup_key": "d-1"}`))
		require.Equal(t, http.StatusAccepted, recorder.Code)
		require.Equal(t, "/api/v1/events/6", recorder.Header().Get("Location"))
		require.Contains(t, recorder.Body.String(), `"duplicate":true`)
		require.Zero(t, b.metrics.of("event api"), "nothing new happened")
	})
}

func TestPostEventErrors(t *testing.T) {
	t.Parallel()

	big := `{"trigger": "github.push", "payload": {"x": "` + strings.Repeat("x", attune.MaxPayloadBytes) + `"}}`
	bigger := `{"trigger": "github.push", "payload": {"x": "` + strings.Repeat("x", attune.MaxPayloadBytes+100<<10) + `"}}`
	cases := []struct {
		name   string
		body   string
		header []string
		arm    func(*bundle)
		status int
		code   string
		detail string // part of the detail
	}{
		{"an unknown trigger is refused", `{"trigger": "github.pull", "payload": {}}`, nil, nil, 404, "not_found", `there is no trigger "github.pull"`},
		{"a malformed reference is refused", `{"trigger": "push", "payload": {}}`, nil, nil, 422, "invalid", `reference "push" is not of the form "pack.name"`},
		{"the trigger of direct runs is refused", `{"trigger": "core.manual", "payload": {}}`, nil, nil, 422, "invalid", `trigger "core.manual" belongs to direct runs: run the action instead`},
		{"a payload against the schema is refused", `{"trigger": "github.push", "payload": {}}`, nil, func(b *bundle) {
			b.engine.check = func(attune.Trigger, json.RawMessage) error {
				return attune.Errorf(attune.CodeInvalid, "payload: ref is missing")
			}
		}, 422, "invalid", "payload: ref is missing"},
		{"a missing trigger is refused", `{"payload": {}}`, nil, nil, 422, "invalid", "body: expected required property trigger to be present"},
		{"a missing payload is refused", `{"trigger": "github.push"}`, nil, nil, 422, "invalid", "body: expected required property payload to be present"},
		{"an unknown field is refused", `{"trigger": "github.push", "payload": {}, "key": 1}`, nil, nil, 422, "invalid", "body.key: unexpected property"},
		{"malformed JSON is refused", `{"trigger": `, nil, nil, 400, "malformed", "the body is not valid JSON: unexpected end of JSON input"},
		{"an empty body is refused", ``, nil, nil, 400, "malformed", "the request needs a JSON body"},
		{"a body that is no object is refused", `[1]`, nil, nil, 422, "invalid", "body: expected object"},
		{"another content type is refused", `trigger=github.push`, []string{"Content-Type: application/x-www-form-urlencoded"}, nil,
			415, "unsupported_media_type", "send it with Content-Type: application/json"},
		{"a payload over the limit is refused", big, nil, nil, 413, "too_large", "the payload has more than 512 KiB"},
		{"a body over the limit is refused", bigger, nil, nil, 413, "too_large", "the body has more than 576 KiB"},
		{"two different keys are refused", `{"trigger": "github.push", "payload": {}, "dedup_key": "a"}`, []string{"Idempotency-Key: b"}, nil,
			422, "invalid", "body.dedup_key and header.Idempotency-Key differ"},
		{"a key over the limit is refused", `{"trigger": "github.push", "payload": {}, "dedup_key": "` + strings.Repeat("k", 256) + `"}`, nil, nil,
			422, "invalid", "body.dedup_key: 256 bytes are too many: use 255 or less"},
		{"a key with a control character is refused", `{"trigger": "github.push", "payload": {}, "dedup_key": "a\u0000b"}`, nil, nil,
			422, "invalid", `body.dedup_key: "a\x00b" contains the character U+0000`},
		{"the database is down", `{"trigger": "github.push", "payload": {}}`, nil, func(b *bundle) {
			b.recorder.record = func(attune.Event, attune.DecideFunc) (attune.Recorded, error) {
				return attune.Recorded{}, attune.WrapError(attune.CodeUnavailable, errSecretCause, "the database does not answer")
			}
		}, 503, "unavailable", "the database does not answer"},
		{"an unexpected error is hidden", `{"trigger": "github.push", "payload": {}}`, nil, func(b *bundle) {
			b.recorder.record = func(attune.Event, attune.DecideFunc) (attune.Recorded, error) {
				return attune.Recorded{}, errSecretCause
			}
		}, 500, "internal", "the server's log has the cause under the request id test-request"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			if tc.arm != nil {
				tc.arm(b)
			}
			recorder := b.do(t, request{http.MethodPost, "/api/v1/events", tc.body, tc.header})
			problem := requireProblem(t, recorder, tc.status, tc.code)
			require.Contains(t, problem.Detail, tc.detail)
			require.Less(t, recorder.Body.Len(), 2000, "a problem does not repeat the body")
			require.Zero(t, b.metrics.of("event api"))
		})
	}
}

// A payload of exactly the limit is accepted.
func TestPostEventAtTheLimit(t *testing.T) {
	t.Parallel()

	b := setup(t)
	payload := `{"x":"` + strings.Repeat("x", attune.MaxPayloadBytes-len(`{"x":""}`)) + `"}`
	require.Len(t, payload, attune.MaxPayloadBytes)
	body := `{"trigger":"github.push","payload":` + payload + `}`
	body += strings.Repeat(" ", attune.MaxPayloadBytes+64<<10-len(body))
	require.Equal(t, http.StatusAccepted, b.do(t, post("/api/v1/events", body)).Code)
	requireProblem(t, b.do(t, post("/api/v1/events", body+" ")), 413, "too_large")
}

func TestGetEvent(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.events.get = func(id attune.EventID) (attune.Event, error) {
		if id != 7 {
			return attune.Event{}, notFound("event 8")
		}
		return attune.Event{
			ID: 7, Trigger: "github.push", Payload: json.RawMessage(`{"a":"<b>"}`), Source: attune.SourceWebhook, ReceivedAt: noon,
		}, nil
	}
	recorder := b.do(t, get("/api/v1/events/7"))
	require.Equal(t, http.StatusOK, recorder.Code)
	requireJSON(t, `{"id": 7, "trigger": "github.push", "payload": {"a": "<b>"}, "source": "webhook", "received_at": "2030-01-02T12:00:00Z"}`, recorder)

	requireProblem(t, b.do(t, get("/api/v1/events/8")), 404, "not_found")
	for _, id := range []string{"seven", "0", "-1", "7.5", "99999999999999999999"} {
		problem := requireProblem(t, b.do(t, get("/api/v1/events/"+id)), 422, "invalid")
		require.Equal(t, "path.id", problem.Errors[0].Location)
	}
}

func TestListEvents(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.events.list = func(filter attune.EventFilter, page attune.Page) ([]attune.Event, error) {
		require.Equal(t, attune.EventFilter{Trigger: "github.push", Source: attune.SourceWebhook}, filter)
		require.Equal(t, attune.Page{Limit: attune.DefaultPageLimit}, page)
		return []attune.Event{{ID: 7, Trigger: "github.push", Payload: json.RawMessage(`{}`), Source: attune.SourceWebhook, ReceivedAt: noon}}, nil
	}
	recorder := b.do(t, get("/api/v1/events?trigger=github.push&source=webhook"))
	require.Equal(t, http.StatusOK, recorder.Code)
	requireJSON(t, `{"items": [{"id": 7, "trigger": "github.push", "source": "webhook", "received_at": "2030-01-02T12:00:00Z"}]}`, recorder)
}
