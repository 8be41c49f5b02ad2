package api_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// delivery is a signed webhook request without the token.
func delivery(key, body string, header ...string) request {
	in := post("/api/v1/webhooks/"+key, body)
	in.header = append([]string{"Authorization:", "X-Hub-Signature-256: " + sign(webhookSecret, body)}, header...)
	return in
}

func TestPostWebhook(t *testing.T) {
	t.Parallel()

	t.Run("a JSON delivery is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.engine.decide = func(attune.Event, []attune.Candidate) []attune.Decision {
			return []attune.Decision{{RuleID: 5, ActionID: 4, Status: attune.EnforcementCreated}}
		}
		recorder := b.do(t, delivery("gh", `{"ref": "main"}`, "X-GitHub-Delivery: d-9", "Content-Type: application/json; charset=utf-8"))
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
		require.Equal(t, "/api/v1/events/7", recorder.Header().Get("Location"))
		requireJSON(t, `{
			"event": {"id": 7, "trigger": "github.push", "source": "webhook", "dedup_key": "d-9", "received_at": "2030-01-02T12:00:00Z"},
			"enforcements": [{"id": 11, "rule": "github.deploy", "action": "shop.deploy", "status": "created"}],
			"duplicate": false
		}`, recorder)
		require.JSONEq(t, `{"ref": "main"}`, string(b.recorder.only(t).Payload))
		require.Equal(t, 1, b.metrics.of("event webhook"))
		require.Equal(t, 1, b.metrics.of("POST /api/v1/webhooks/{key} Accepted"))
	})

	t.Run("a form delivery is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		body := url.Values{"payload": {`{"ref": "a & b"}`}}.Encode()
		recorder := b.do(t, delivery("gh", body, "Content-Type: application/x-www-form-urlencoded"))
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
		require.JSONEq(t, `{"ref": "a & b"}`, string(b.recorder.only(t).Payload))
	})

	t.Run("another JSON media type is accepted", func(t *testing.T) {
		t.Parallel()
		recorder := setup(t).do(t, delivery("gh", `{}`, "Content-Type: application/cloudevents+json"))
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
	})

	// The example is from GitHub's documentation.
	t.Run("a known signature is accepted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		in := delivery("gh", "Hello, World!",
			"X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")
		requireProblem(t, b.do(t, in), 400, "malformed") // the signature is valid, the body is not JSON
	})
}

func TestPostWebhookErrors(t *testing.T) {
	t.Parallel()

	const body = `{"ref": "main"}`
	right := sign(webhookSecret, body)
	cases := []struct {
		name   string
		in     request
		arm    func(*bundle)
		status int
		code   string
		detail string
	}{
		{"an unknown key is not found", delivery("gl", body), nil, 404, "not_found", `there is no webhook "gl"`},
		{"an impossible key is not found", delivery("%00", body), nil, 404, "not_found", `there is no such webhook`},
		{"a missing signature is refused", delivery("gh", body, "X-Hub-Signature-256:"), nil, 401, "unauthorized", "the signature is missing or wrong"},
		{"a wrong signature is refused", delivery("gh", body, "X-Hub-Signature-256: "+sign("other", body)), nil,
			401, "unauthorized", "the signature is missing or wrong"},
		{"a signature of another body is refused", delivery("gh", body, "X-Hub-Signature-256: "+sign(webhookSecret, body+" ")), nil,
			401, "unauthorized", "the signature is missing or wrong"},
		{"a signature without prefix is refused", delivery("gh", body, "X-Hub-Signature-256: "+strings.TrimPrefix(right, "sha256=")), nil,
			401, "unauthorized", "the signature is missing or wrong"},
		{"a shortened signature is refused", delivery("gh", body, "X-Hub-Signature-256: "+right[:len(right)-2]), nil,
			401, "unauthorized", "the signature is missing or wrong"},
		{"a signature with trailing text is refused", delivery("gh", body, "X-Hub-Signature-256: "+right+"zz"), nil,
			401, "unauthorized", "the signature is missing or wrong"},
		{"the secret is missing", delivery("gh", body), func(b *bundle) { delete(b.secrets, "GITHUB_SECRET") },
			503, "unavailable", "set the environment variable GITHUB_SECRET of the API process"},
		// An empty secret would accept a signature that any caller can make.
		{"the secret is empty", delivery("gh", body, "X-Hub-Signature-256: "+sign("", body)), func(b *bundle) { b.secrets["GITHUB_SECRET"] = "" },
			503, "unavailable", "set the environment variable GITHUB_SECRET"},
		{"malformed JSON is refused", delivery("gh", `{"ref"`), nil, 400, "malformed", "the body is not valid JSON"},
		{"an empty body is refused", delivery("gh", ``), nil, 400, "malformed", "the body is not valid JSON"},
		{"a body that is no object is refused", delivery("gh", `[1]`), func(b *bundle) {
			b.engine.check = func(_ attune.Trigger, payload json.RawMessage) error {
				return attune.Errorf(attune.CodeInvalid, "payload %s is no object", payload)
			}
		}, 422, "invalid", "payload [1] is no object"},
		{"another content type is refused", delivery("gh", body, "Content-Type: text/plain"), nil,
			415, "unsupported_media_type", "send it with Content-Type: application/json"},
		{"a form without payload is refused", delivery("gh", `a=b`, "Content-Type: application/x-www-form-urlencoded"), nil,
			415, "unsupported_media_type", "the form has no field payload"},
		{"a body over the limit is refused", delivery("gh", `{"x": "`+strings.Repeat("x", attune.MaxPayloadBytes+64<<10)+`"}`), nil,
			413, "too_large", "the body has more than 576 KiB"},
		{"a payload over the limit is refused", delivery("gh", `{"x": "`+strings.Repeat("x", attune.MaxPayloadBytes)+`"}`), nil,
			413, "too_large", "the payload has more than 512 KiB"},
		{"a dedup key over the limit is refused", delivery("gh", body, "X-GitHub-Delivery: "+strings.Repeat("k", 300)), nil,
			422, "invalid", "header.X-GitHub-Delivery: 300 bytes are too many"},
		{"the database is down", delivery("gh", body), func(b *bundle) {
			b.triggers.byKey = func(string) (attune.Trigger, error) { return attune.Trigger{}, errDown }
		}, 503, "unavailable", "the database does not answer"},
		{"a trigger without webhook is not found", delivery("gh", body), func(b *bundle) {
			b.triggers.byKey = func(string) (attune.Trigger, error) { return attune.Trigger{Ref: "github.push"}, nil }
		}, 404, "not_found", `there is no webhook "gh"`},
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
			require.Empty(t, b.recorder.events, "nothing is recorded")
			require.NotContains(t, b.log.String(), webhookSecret)
		})
	}
}

// A caller without the secret must not learn whether the signature is missing, malformed or wrong.
func TestPostWebhookSameAnswerForEverySignature(t *testing.T) {
	t.Parallel()

	b := setup(t)
	var bodies []string
	for _, signature := range []string{"", " nonsense", " sha256=00", " " + sign("other", `{}`)} {
		recorder := b.do(t, delivery("gh", `{}`, "X-Hub-Signature-256:"+signature))
		requireProblem(t, recorder, 401, "unauthorized")
		require.NotEmpty(t, recorder.Header().Get("WWW-Authenticate"))
		bodies = append(bodies, recorder.Body.String())
	}
	for _, body := range bodies {
		require.Equal(t, bodies[0], body)
	}
}

// The signature is checked before the body is parsed.
func TestPostWebhookChecksSignatureFirst(t *testing.T) {
	t.Parallel()

	forged := func(body string) request {
		return delivery("gh", body, "Content-Type: text/plain", "X-Hub-Signature-256: "+sign("other", "x"))
	}
	requireProblem(t, setup(t).do(t, forged(`not JSON`)), 401, "unauthorized")

	b := setup(t)
	release := b.server(t).HoldDecoding(t)
	requireProblem(t, b.do(t, forged(strings.Repeat("x", attune.MaxPayloadBytes))), 401, "unauthorized")
	release()
	require.Equal(t, http.StatusAccepted, b.do(t, delivery("gh", `{}`)).Code)
}
