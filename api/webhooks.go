package api

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
)

const (
	webhookPath     = apiPrefix + "webhooks/{key}"
	webhookPattern  = "POST " + webhookPath
	signatureHeader = "X-Hub-Signature-256"
	formMediaType   = "application/x-www-form-urlencoded"
	maxWebhookKey   = 255 // bytes
)

// Webhooks finds the trigger of a webhook key. A key without a trigger is an [attune.CodeNotFound] error.
type Webhooks interface {
	WebhookTrigger(ctx context.Context, key string) (attune.Trigger, error)
}

// registerWebhooks adds the webhook route. The framework does not serve it, because the signature covers the bytes of the body
// before they are parsed.
func (s *Server) registerWebhooks() {
	s.router.handleOpen(webhookPattern, func(w http.ResponseWriter, r *http.Request) {
		accepted, err := s.postWebhook(r)
		if err != nil {
			s.problem(r.Context(), err).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", accepted.Location)
		writeJSON(w, http.StatusAccepted, "application/json", accepted.Body)
	})
	s.describe(huma.Operation{
		OperationID: "post-webhook", Method: http.MethodPost, Path: webhookPath, Tags: []string{"events"},
		Summary:     "Deliver an event, signed with the trigger's secret; needs no token",
		Description: "The body is a JSON object, or a form with a JSON object in the field payload.",
		Parameters: []*huma.Param{
			{Name: "key", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}},
			{
				Name: signatureHeader, In: "header", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
				Description: "sha256=<hex of the HMAC-SHA256 of the body>",
			},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}},
		}},
		Security: []map[string][]string{},
	}, http.StatusAccepted, Accepted{}, http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
}

// postWebhook records a delivery. It checks the signature before it parses the body.
func (s *Server) postWebhook(r *http.Request) (*response[Accepted], error) {
	trigger, err := s.webhookTrigger(r.Context(), r.PathValue("key"))
	if err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if err := s.checkSignature(r, trigger, body); err != nil {
		return nil, err
	}
	payload, err := webhookPayload(r.Header.Get("Content-Type"), body)
	if err != nil {
		return nil, err
	}
	arrival := ingest.Arrival{Source: attune.SourceWebhook, Trigger: trigger.Ref, Payload: payload}
	if header := trigger.Webhook.DedupHeader; header != "" {
		arrival.DedupKey = r.Header.Get(header)
		if err := attune.CheckText("header."+header, arrival.DedupKey, attune.MaxDedupKey); err != nil {
			return nil, err
		}
	}
	return s.accept(r.Context(), arrival)
}

func (s *Server) webhookTrigger(ctx context.Context, key string) (attune.Trigger, error) {
	if err := attune.CheckText("path.key", key, maxWebhookKey); err != nil {
		return attune.Trigger{}, attune.Errorf(attune.CodeNotFound, "there is no such webhook")
	}
	trigger, err := s.deps.Packs.WebhookTrigger(ctx, key)
	if err == nil && trigger.Webhook == nil {
		err = attune.Errorf(attune.CodeNotFound, "there is no webhook %q", key)
	}
	return trigger, err
}

// checkSignature returns the same error for a missing, a malformed and a wrong signature.
func (s *Server) checkSignature(r *http.Request, trigger attune.Trigger, body []byte) error {
	name := trigger.Webhook.SecretEnv
	secret, _ := s.deps.LookupSecret(name)
	if secret == "" {
		return attune.WrapError(attune.CodeUnavailable, errors.New("the secret of a webhook is not set"),
			"the secret of trigger %q is not set: set the environment variable %s of the API process", trigger.Ref, name)
	}
	if signedWith(secret, body, r.Header.Get(signatureHeader)) {
		return nil
	}
	s.logger.WarnContext(r.Context(), "a webhook delivery has a missing or wrong signature",
		"request_id", requestInfoOf(r.Context()).id, "trigger", trigger.Ref)
	return unauthorized("the signature is missing or wrong: send "+signatureHeader+": sha256=<hex of the HMAC-SHA256 of the body>").
		with("WWW-Authenticate", signatureHeader+` realm="attune webhooks"`)
}

// webhookPayload returns the JSON text of a delivery.
func webhookPayload(contentType string, body []byte) (json.RawMessage, error) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType == "", err == nil && (mediaType == "application/json" || strings.HasSuffix(mediaType, "+json")):
	case err == nil && mediaType == formMediaType:
		form, err := url.ParseQuery(string(body))
		if err != nil || !form.Has("payload") {
			return nil, newProblem(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType,
				"the form has no field payload: send JSON with Content-Type: application/json, or a form with the JSON in payload")
		}
		body = []byte(form.Get("payload"))
	default:
		return nil, newProblem(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType,
			"a webhook takes a JSON object: send it with Content-Type: application/json")
	}
	var payload json.RawMessage
	if err := decodeJSON(body, &payload); err != nil {
		return nil, newProblem(http.StatusBadRequest, CodeMalformed, "the body is not valid JSON: "+err.Error())
	}
	return payload, nil
}
