package api

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/sources"
)

const (
	webhookPath    = apiPrefix + "webhooks/{key}"
	webhookPattern = "POST " + webhookPath
	maxWebhookKey  = 255 // bytes
)

// Webhooks finds the trigger of a webhook key. A key without a trigger is an [attune.CodeNotFound] error.
type Webhooks interface {
	WebhookTrigger(ctx context.Context, key string) (attune.Trigger, error)
}

// registerWebhooks adds the webhook route. The framework does not serve it, because the signature covers the bytes of the body
// before they are parsed.
func (s *Server) registerWebhooks() {
	s.router.handlePublic(webhookPattern, func(w http.ResponseWriter, r *http.Request) {
		recorded, err := s.postWebhook(w, r)
		if err != nil {
			s.problem(r.Context(), err).ServeHTTP(w, r)
			return
		}
		w.Header().Set("Location", recorded.Location)
		writeJSON(w, http.StatusAccepted, "application/json", recorded.Body)
	})
	s.describe(huma.Operation{
		OperationID: "post-webhook", Method: http.MethodPost, Path: webhookPath, Tags: []string{"events"},
		Summary:     "Deliver an event, signed with the trigger's secret; needs no token",
		Description: "The body is a JSON object, or a form with a JSON object in the field payload.",
		Parameters: []*huma.Param{
			{Name: "key", In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}},
			{
				Name: sources.SignatureHeader, In: "header", Required: true, Schema: &huma.Schema{Type: huma.TypeString},
				Description: sources.SignatureFormat,
			},
		},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}},
		}},
		Security: []map[string][]string{},
	}, http.StatusAccepted, RecordedEvent{}, http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound,
		http.StatusRequestTimeout, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity,
		http.StatusTooManyRequests, http.StatusServiceUnavailable)
}

// postWebhook records a delivery. It checks the signature before it parses the body, and before the body takes a share of what is decoded
// at one time: a sender without the secret must not hold up the others.
func (s *Server) postWebhook(w http.ResponseWriter, r *http.Request) (*response[RecordedEvent], error) {
	key := r.PathValue("key")
	caller := provenWebhook(r, key)
	isProven := s.rates.proven.has(caller)
	var trigger attune.Trigger
	if err := s.attempt(r, isProven, attune.CodeNotFound, func(ctx context.Context) (err error) {
		trigger, err = s.webhookTrigger(ctx, key)
		return err
	}); err != nil {
		return nil, err
	}
	s.connections.busy(r.Context(), false) // anyone can begin a delivery
	claim, body, err := s.receive(w, r, maxDelivery(r.Header.Get("Content-Type")))
	s.connections.busy(r.Context(), true)
	if err != nil {
		return nil, err
	}
	defer claim.release()
	var verified sources.Verified
	if err := s.attempt(r, isProven, attune.CodeUnauthorized, func(context.Context) (err error) {
		verified, err = s.webhooks.Verify(trigger, sources.Delivery{Header: r.Header, Body: body})
		return err
	}); err != nil {
		return nil, s.webhookProblem(r.Context(), trigger, err)
	}
	s.rates.proven.add(caller)
	wait := s.rates.webhooks.take(string(trigger.Ref))
	if err := s.limited(r, LimitedWebhook, wait, "too many deliveries to trigger "+string(trigger.Ref)); err != nil {
		return nil, err
	}
	if err := claim.awaitDecoding(r.Context(), len(body)); err != nil {
		return nil, err
	}
	arrival, err := verified.Arrival()
	if err != nil {
		return nil, s.webhookProblem(r.Context(), trigger, err)
	}
	if problem := sentOnce(r.Header, trigger.Webhook.DedupHeader); problem != nil {
		return nil, problem
	}
	// Package ingest also refuses a payload that is no JSON, with 422. This check answers 400 instead, as the other routes do.
	if err := decodeJSON(arrival.Payload, new(json.RawMessage)); err != nil {
		return nil, newProblem(http.StatusBadRequest, CodeMalformed, "the body is not valid JSON: "+err.Error())
	}
	return s.record(r.Context(), arrival)
}

// maxDelivery returns how many bytes the body of a delivery may have. A form writes one byte of its payload as up to three.
func maxDelivery(contentType string) int {
	if mediaType, _, err := mime.ParseMediaType(contentType); err == nil && mediaType == sources.FormMediaType {
		return 3*attune.MaxPayloadBytes + envelopeBytes
	}
	return maxBodyBytes
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

// webhookProblem turns the error of a delivery into a problem, and logs a wrong signature.
func (s *Server) webhookProblem(ctx context.Context, trigger attune.Trigger, err error) error {
	switch {
	case attune.CodeOf(err) == attune.CodeUnauthorized:
		s.logger.WarnContext(ctx, "a webhook delivery has a missing or wrong signature",
			"request_id", requestInfoOf(ctx).id, "trigger", trigger.Ref)
		return s.problem(ctx, err).with("WWW-Authenticate", sources.SignatureHeader+` realm="attune webhooks"`)
	case errors.Is(err, sources.ErrMediaType):
		return newProblem(http.StatusUnsupportedMediaType, CodeUnsupportedMediaType, s.problem(ctx, err).Detail)
	}
	return err
}
