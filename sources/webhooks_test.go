package sources_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/sources"
)

// The secret, body and signature of an example in GitHub's documentation.
const (
	secret    = "It's a Secret to Everybody"
	body      = "Hello, World!"
	signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
)

func setup() (*sources.Webhooks, attune.Trigger, sources.Delivery) {
	webhooks := sources.NewWebhooks(func(name string) (string, error) {
		if name == "BROKEN_SECRET" {
			return "", attune.Errorf(attune.CodeUnavailable, "the file of the secret cannot be used")
		}
		return map[string]string{"GITHUB_SECRET": secret, "EMPTY_SECRET": "", "SHORT_SECRET": "fifteen letters"}[name], nil
	})
	trigger := attune.Trigger{
		Ref: "github.push", Webhook: &attune.Webhook{Key: "gh", SecretEnv: "GITHUB_SECRET", DedupHeader: "X-GitHub-Delivery"},
	}
	delivery := sources.Delivery{Header: http.Header{}, Body: []byte(body)}
	delivery.Header.Set(sources.SignatureHeader, signature)
	delivery.Header.Set("X-GitHub-Delivery", "d-9")
	return webhooks, trigger, delivery
}

// arrivalOf verifies a delivery and returns its arrival.
func arrivalOf(w *sources.Webhooks, trigger attune.Trigger, d sources.Delivery) (ingest.Arrival, error) {
	verified, err := w.Verify(trigger, d)
	if err != nil {
		return ingest.Arrival{}, err
	}
	return verified.Arrival()
}

func TestWebhooks_Arrival(t *testing.T) {
	t.Parallel()

	t.Run("a signed delivery becomes an arrival with the body as it is", func(t *testing.T) {
		t.Parallel()
		webhooks, trigger, delivery := setup()
		arrival, err := arrivalOf(webhooks, trigger, delivery)
		require.NoError(t, err)
		require.Equal(t, ingest.Arrival{
			Source: attune.SourceWebhook, Trigger: "github.push", Payload: []byte(body), DedupKey: "d-9",
		}, arrival)
	})

	t.Run("a trigger without a deduplication header takes every delivery for a new one", func(t *testing.T) {
		t.Parallel()
		webhooks, trigger, delivery := setup()
		trigger.Webhook.DedupHeader = ""
		arrival, err := arrivalOf(webhooks, trigger, delivery)
		require.NoError(t, err)
		require.Empty(t, arrival.DedupKey)
	})

	refusals := map[string]struct {
		change func(*attune.Trigger, *sources.Delivery)
		code   attune.Code
		text   string
	}{
		"a delivery without a signature is refused": {func(_ *attune.Trigger, d *sources.Delivery) {
			d.Header.Del(sources.SignatureHeader)
		}, attune.CodeUnauthorized, "the signature is missing or wrong"},
		"the signature of another body is refused": {func(_ *attune.Trigger, d *sources.Delivery) {
			d.Body = append(d.Body, '!')
		}, attune.CodeUnauthorized, "the signature is missing or wrong"},
		"a signature without its prefix is refused": {func(_ *attune.Trigger, d *sources.Delivery) {
			d.Header.Set(sources.SignatureHeader, signature[len("sha256="):])
		}, attune.CodeUnauthorized, "the signature is missing or wrong"},
		"the beginning of a signature is refused": {func(_ *attune.Trigger, d *sources.Delivery) {
			d.Header.Set(sources.SignatureHeader, signature[:len(signature)-2])
		}, attune.CodeUnauthorized, "the signature is missing or wrong"},
		"a trigger whose secret is unset takes no delivery": {func(trigger *attune.Trigger, _ *sources.Delivery) {
			trigger.Webhook.SecretEnv = "OTHER_SECRET"
		}, attune.CodeUnavailable, "set the environment variable OTHER_SECRET"},
		"a trigger whose secret is empty takes no delivery": {func(trigger *attune.Trigger, _ *sources.Delivery) {
			trigger.Webhook.SecretEnv = "EMPTY_SECRET"
		}, attune.CodeUnavailable, "set the environment variable EMPTY_SECRET"},
		"a trigger whose secret is short takes no delivery": {func(trigger *attune.Trigger, _ *sources.Delivery) {
			trigger.Webhook.SecretEnv = "SHORT_SECRET"
		}, attune.CodeUnavailable, "too short: use 16 characters or more: has 15 characters"},
		"a trigger whose secret cannot be used takes no delivery": {func(trigger *attune.Trigger, _ *sources.Delivery) {
			trigger.Webhook.SecretEnv = "BROKEN_SECRET"
		}, attune.CodeUnavailable, "the file of the secret cannot be used"},
		"a deduplication key with a control character is refused": {func(_ *attune.Trigger, d *sources.Delivery) {
			d.Header.Set("X-GitHub-Delivery", "d\x009")
		}, attune.CodeInvalid, "header.X-GitHub-Delivery"},
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webhooks, trigger, delivery := setup()
			refusal.change(&trigger, &delivery)
			_, err := arrivalOf(webhooks, trigger, delivery)
			require.Equal(t, refusal.code, attune.CodeOf(err), err)
			require.ErrorContains(t, err, refusal.text)
		})
	}
}

func TestWebhooks_MediaTypes(t *testing.T) {
	t.Parallel()
	form := url.Values{"payload": {"{}"}}.Encode()
	cases := map[string]struct {
		contentType, body, signature string
		payload                      string // empty: refused
	}{
		"a body without a media type is the payload":        {"", body, signature, body},
		"a JSON body is the payload":                        {"application/json; charset=utf-8", body, signature, body},
		"a body of a type derived from JSON is the payload": {"application/cloudevents+json", body, signature, body},
		"the field payload of a form is the payload": {"application/x-www-form-urlencoded", form,
			"sha256=8a36b8b46dc5d852915b945b7e6d94c7839a611f3864a1bb9ea4679fef85f330", "{}"},
		"a form without the field is refused": {"application/x-www-form-urlencoded", body, signature, ""},
		"plain text is refused":               {"text/plain", body, signature, ""},
		"an unreadable type is refused":       {"application/json; charset", body, signature, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			webhooks, trigger, delivery := setup()
			delivery.Body = []byte(tc.body)
			delivery.Header.Set("Content-Type", tc.contentType)
			delivery.Header.Set(sources.SignatureHeader, tc.signature)
			arrival, err := arrivalOf(webhooks, trigger, delivery)
			if tc.payload == "" {
				require.ErrorIs(t, err, sources.ErrMediaType)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.payload, string(arrival.Payload))
		})
	}
}

func TestWebhooks_SeveralPayloads(t *testing.T) {
	t.Parallel()
	webhooks, trigger, delivery := setup()
	delivery.Body = []byte(url.Values{"payload": {"{}", "{}"}}.Encode())
	delivery.Header.Set("Content-Type", sources.FormMediaType)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(delivery.Body)
	delivery.Header.Set(sources.SignatureHeader, "sha256="+hex.EncodeToString(mac.Sum(nil)))
	_, err := arrivalOf(webhooks, trigger, delivery)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	require.EqualError(t, err, "body.payload: sent 2 times: send it once")
}
