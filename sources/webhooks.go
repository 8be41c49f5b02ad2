package sources

import (
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
)

// FormMediaType is the media type of a delivery that is a form with JSON in the field payload.
const FormMediaType = "application/x-www-form-urlencoded"

// ErrMediaType is the cause of the error for a body that is neither JSON nor a form with JSON in it.
var ErrMediaType = errors.New("unsupported media type")

// MinSecretBytes is the least length of a secret, in bytes: a shorter one can be guessed from a single delivery.
const MinSecretBytes = 16

// Delivery is a webhook request as it arrived.
type Delivery struct {
	Header http.Header
	Body   []byte // as the sender signed it
}

// Webhooks reads webhook deliveries.
type Webhooks struct {
	lookupSecret func(name string) (string, error)
}

// NewWebhooks returns a reader of deliveries. lookupSecret returns the secret of an environment variable, or "" if it is not set. Its
// error is an [attune.CodeUnavailable] error, whose message any sender may read.
func NewWebhooks(lookupSecret func(name string) (string, error)) *Webhooks {
	return &Webhooks{lookupSecret: lookupSecret}
}

// CheckSecret returns an [attune.CodeUnavailable] error for a secret with less than [MinSecretBytes]. It does not quote the secret.
func CheckSecret(secret string) error {
	if len(secret) < MinSecretBytes {
		return attune.Errorf(attune.CodeUnavailable,
			"has %d characters: use %d or more, for example the output of \"openssl rand -hex 32\"", len(secret), MinSecretBytes)
	}
	return nil
}

// Verified is a delivery whose signature is right.
type Verified struct {
	trigger  attune.Trigger
	delivery Delivery
}

// Verify verifies the signature of a delivery for a trigger with a webhook. It reads nothing else of the body.
//
// The error is [attune.CodeUnauthorized] for a delivery whose signature is missing, unreadable or wrong, with the same message, and
// [attune.CodeUnavailable] if the secret is not set or cannot be used.
func (w *Webhooks) Verify(trigger attune.Trigger, d Delivery) (Verified, error) {
	if err := w.verify(trigger, d); err != nil {
		return Verified{}, err
	}
	return Verified{trigger, d}, nil
}

// Arrival returns the arrival that a delivery brings. The payload is the text that the sender sent: Arrival does not parse it.
//
// The error is [attune.CodeInvalid] for a deduplication key that cannot be stored, for a form with several payloads, and for an
// unsupported media type, then with [ErrMediaType] as its cause.
func (v Verified) Arrival() (ingest.Arrival, error) {
	payload, err := payloadOf(v.delivery)
	if err != nil {
		return ingest.Arrival{}, err
	}
	arrival := ingest.Arrival{Source: attune.SourceWebhook, Trigger: v.trigger.Ref, Payload: payload}
	if header := v.trigger.Webhook.DedupHeader; header != "" {
		arrival.DedupKey = v.delivery.Header.Get(header)
		return arrival, attune.CheckText("header."+header, arrival.DedupKey, attune.MaxDedupKey)
	}
	return arrival, nil
}

func (w *Webhooks) verify(trigger attune.Trigger, d Delivery) error {
	name := trigger.Webhook.SecretEnv
	secret, err := w.lookupSecret(name)
	if err != nil {
		return err
	}
	if secret == "" {
		return attune.Errorf(attune.CodeUnavailable,
			"the secret of trigger %q is not set: set the environment variable %s of the API process", trigger.Ref, name)
	}
	if err := CheckSecret(secret); err != nil {
		return attune.WrapError(attune.CodeUnavailable, err,
			"the secret of trigger %q, of the variable %s, is too short: use %d characters or more", trigger.Ref, name, MinSecretBytes)
	}
	p := github()
	if !p.verify(secret, d.Header.Get(p.header), d.Body) {
		return attune.Errorf(attune.CodeUnauthorized, "the signature is missing or wrong: send %s: %s", p.header, p.format)
	}
	return nil
}

// payloadOf returns the payload of a verified delivery: the body, or the field payload of a form.
func payloadOf(d Delivery) ([]byte, error) {
	contentType := d.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "", err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")):
		return d.Body, nil
	case err == nil && mediaType == FormMediaType:
		form, err := url.ParseQuery(string(d.Body))
		if err != nil || !form.Has("payload") {
			return nil, attune.WrapError(attune.CodeInvalid, ErrMediaType,
				"the form has no field payload: send JSON with Content-Type: application/json, or a form with the JSON in payload")
		}
		if n := len(form["payload"]); n > 1 {
			return nil, attune.Errorf(attune.CodeInvalid, "body.payload: sent %d times: send it once", n)
		}
		return []byte(form.Get("payload")), nil
	default:
		return nil, attune.WrapError(attune.CodeInvalid, ErrMediaType,
			"a webhook takes a JSON object: send it with Content-Type: application/json")
	}
}
