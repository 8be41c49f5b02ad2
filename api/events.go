package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// Engine decides what an event sets in motion. It has no side effects and may be called concurrently.
type Engine interface {
	// CheckEvent reports a payload that the trigger does not accept, as an [attune.CodeInvalid] error.
	CheckEvent(trigger attune.Trigger, payload json.RawMessage) error
	Decide(ctx context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision
	// Manual decides a direct run. Parameters that the action does not accept are an [attune.CodeInvalid] error.
	Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error)
}

// Triggers finds triggers. One that does not exist is an [attune.CodeNotFound] error.
type Triggers interface {
	Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error)
	WebhookTrigger(ctx context.Context, key string) (attune.Trigger, error)
}

// EventRecorder writes an event with everything it sets in motion, or nothing: event, enforcements and the messages
// that must follow. decide runs inside that transaction and must not do I/O. An event whose dedup key was recorded for
// the same trigger before is not written; the answer is the earlier one, with Duplicate set.
type EventRecorder interface {
	Record(
		ctx context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
	) (attune.Recorded, error)
}

// EventReader reads events. One that does not exist is an [attune.CodeNotFound] error; lists are newest first.
type EventReader interface {
	Get(ctx context.Context, id attune.EventID) (attune.Event, error)
	List(ctx context.Context, filter attune.EventFilter, page attune.Page) ([]attune.Event, error)
}

// EventRequest is the body of POST /api/v1/events.
type EventRequest struct {
	Trigger  attune.Ref      `json:"trigger" doc:"The kind of event, for example github.push"`
	Payload  json.RawMessage `json:"payload" doc:"A JSON object that fits the trigger's schema, at most 512 KiB"`
	DedupKey string          `json:"dedup_key,omitempty" doc:"The same key for the same trigger is the same event; at most 255 bytes"`
}

// Accepted says what an event set in motion.
type Accepted struct {
	Event        EventSummary          `json:"event"`
	Enforcements []AcceptedEnforcement `json:"enforcements" doc:"One per rule that matched; empty when none did"`
	Duplicate    bool                  `json:"duplicate" doc:"The dedup key was used before: this is that event, and nothing new happened"`
}

// AcceptedEnforcement is one enforcement as it was at acceptance.
type AcceptedEnforcement struct {
	ID     attune.EnforcementID     `json:"id"`
	Rule   attune.Ref               `json:"rule,omitempty"`
	Action attune.Ref               `json:"action"`
	Status attune.EnforcementStatus `json:"status"`
	Reason attune.Reason            `json:"reason,omitempty"`
}

// EventSummary is an event without its payload.
type EventSummary struct {
	ID         attune.EventID `json:"id"`
	Trigger    attune.Ref     `json:"trigger"`
	Source     attune.Source  `json:"source"`
	DedupKey   string         `json:"dedup_key,omitempty"`
	ReceivedAt time.Time      `json:"received_at"`
}

func summarizeEvent(e attune.Event) EventSummary {
	return EventSummary{ID: e.ID, Trigger: e.Trigger, Source: e.Source, DedupKey: e.DedupKey, ReceivedAt: e.ReceivedAt}
}

type postEventInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"The same as dedup_key"`
	Body           EventRequest
}

type listEventsInput struct {
	Paging
	Trigger attune.Ref    `query:"trigger"`
	Source  attune.Source `query:"source"`
}

func (s *Server) registerEvents() {
	register(s, huma.Operation{
		OperationID: "post-event", Method: http.MethodPost, Path: "/events", Tags: []string{"events"},
		Summary: "Record an event and run what its rules say", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusBadRequest, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
	}, s.postEvent)
	register(s, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/events", Tags: []string{"events"},
		Summary: "List events, newest first, without their payloads",
	}, s.listEvents)
	register(s, huma.Operation{
		OperationID: "get-event", Method: http.MethodGet, Path: "/events/{id}", Tags: []string{"events"},
		Summary: "Read one event", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *idInput) (*answer[attune.Event], error) {
		event, err := s.deps.Events.Get(ctx, attune.EventID(in.ID))
		return &answer[attune.Event]{Body: event}, err
	})
}

func (s *Server) postEvent(ctx context.Context, in *postEventInput) (*answer[Accepted], error) {
	key, err := dedupKey(in.Body.DedupKey, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	if err := in.Body.Trigger.Validate(); err != nil {
		return nil, err
	}
	if in.Body.Trigger == attune.ManualTrigger {
		return nil, attune.Errorf(attune.CodeInvalid, "trigger %q belongs to direct runs: use POST %sactions/{ref}/run",
			attune.ManualTrigger, apiPrefix)
	}
	trigger, err := s.deps.Triggers.Trigger(ctx, in.Body.Trigger)
	if err != nil {
		return nil, err
	}
	return s.accept(ctx, trigger, attune.Event{
		Trigger: trigger.Ref, Payload: in.Body.Payload, Source: attune.SourceAPI, DedupKey: key,
	})
}

// accept checks an event and records it with everything it sets in motion.
func (s *Server) accept(ctx context.Context, trigger attune.Trigger, event attune.Event) (*answer[Accepted], error) {
	if len(event.Payload) > attune.MaxPayloadBytes {
		return nil, tooLarge("the payload", attune.MaxPayloadBytes)
	}
	if err := s.deps.Engine.CheckEvent(trigger, event.Payload); err != nil {
		return nil, err
	}
	recorded, err := s.record(ctx, event, func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		return s.deps.Engine.Decide(ctx, event, candidates)
	})
	if err != nil {
		return nil, err
	}
	accepted := Accepted{Event: summarizeEvent(recorded.Event), Enforcements: []AcceptedEnforcement{}, Duplicate: recorded.Duplicate}
	for _, e := range recorded.Enforcements {
		accepted.Enforcements = append(accepted.Enforcements, AcceptedEnforcement{
			ID: e.ID, Rule: e.Rule, Action: e.Action, Status: e.Status, Reason: e.Reason,
		})
	}
	return &answer[Accepted]{Location: fmt.Sprintf("%sevents/%d", apiPrefix, recorded.Event.ID), Body: accepted}, nil
}

// record writes and counts. A repeated delivery is not counted again.
func (s *Server) record(
	ctx context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
) (attune.Recorded, error) {
	recorded, err := s.deps.Recorder.Record(ctx, event, decide)
	if err != nil || recorded.Duplicate {
		return recorded, err
	}
	s.deps.Metrics.EventRecorded(ctx, event.Source)
	for _, e := range recorded.Enforcements {
		s.deps.Metrics.EnforcementReached(ctx, 1, e.Status, e.Reason)
	}
	return recorded, nil
}

// dedupKey returns the key that a caller gave in the body, in the header, or in both alike.
func dedupKey(body, header string) (string, error) {
	if body != "" && header != "" && body != header {
		return "", attune.Errorf(attune.CodeInvalid, "body.dedup_key and header.Idempotency-Key differ: send one of them")
	}
	if body == "" {
		return header, checkText("header.Idempotency-Key", header)
	}
	return body, checkText("body.dedup_key", body)
}

func (s *Server) listEvents(ctx context.Context, in *listEventsInput) (*answer[List[EventSummary]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	if err := checkRefs(map[string]attune.Ref{"query.trigger": in.Trigger}); err != nil {
		return nil, err
	}
	found, err := s.deps.Events.List(ctx, attune.EventFilter{Trigger: in.Trigger, Source: in.Source}, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(e attune.Event) int64 { return int64(e.ID) }, summarizeEvent), nil
}
