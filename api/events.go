package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/ingest"
)

// Ingest records events and direct runs with their enforcements: see package ingest.
type Ingest interface {
	Event(ctx context.Context, arrival ingest.Arrival) (attune.Recorded, error)
	// Run records a direct run. The result has one enforcement.
	Run(ctx context.Context, run ingest.DirectRun) (attune.Recorded, error)
	// Preview returns what Run would decide. It records nothing.
	Preview(ctx context.Context, action attune.Action, parameters json.RawMessage) (attune.Decision, error)
	// Rechoose returns the decision about a recorded enforcement with the lane and the charges that the key and the gates of an action
	// choose. It records nothing.
	Rechoose(ctx context.Context, run attune.RecordedRun, action attune.Action) (attune.Decision, error)
}

// EventReader reads events. An event that does not exist is an [attune.CodeNotFound] error; lists are newest first.
type EventReader interface {
	Get(ctx context.Context, id attune.EventID) (attune.Event, error)
	List(ctx context.Context, filter attune.EventFilter, page attune.Page) ([]attune.Event, error)
}

// EventRequest is the body of POST /api/v1/events.
type EventRequest struct {
	Trigger  attune.Ref      `json:"trigger" doc:"The kind of event, for example demo.push"`
	Payload  json.RawMessage `json:"payload" doc:"A JSON object that fits the trigger's schema, at most 512 KiB"`
	DedupKey string          `json:"dedup_key,omitempty" doc:"The same key and trigger return the same event; at most 255 bytes"`
}

// RecordedEvent is a recorded event with its enforcements.
type RecordedEvent struct {
	Event        EventSummary          `json:"event"`
	Enforcements []RecordedEnforcement `json:"enforcements" doc:"One for each rule that matched; empty when none matched"`
	Duplicate    bool                  `json:"duplicate" doc:"The key was used before: this is the earlier event"`
}

// RecordedEnforcement is an enforcement with its status when it was recorded.
type RecordedEnforcement struct {
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
	Author     *attune.Author `json:"author,omitempty" doc:"Sender of the event; absent for webhooks"`
	ReceivedAt time.Time      `json:"received_at"`
}

func summarizeEvent(e attune.Event) EventSummary {
	return EventSummary{
		ID: e.ID, Trigger: e.Trigger, Source: e.Source, DedupKey: e.DedupKey, Author: e.Author, ReceivedAt: e.ReceivedAt,
	}
}

type postEventInput struct {
	IdempotencyKey string `header:"Idempotency-Key" doc:"Another way to send dedup_key"`
	Body           EventRequest
}

type listEventsInput struct {
	Paging
	Trigger attune.Ref    `query:"trigger"`
	Source  attune.Source `query:"source"`
}

func (s *Server) registerEvents() {
	register(s, auth.RightSendEvents, huma.Operation{
		OperationID: "post-event", Method: http.MethodPost, Path: "/events", Tags: []string{"events"},
		Summary: "Record an event and run the actions of the rules that match it", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusNotFound},
	}, s.postEvent)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: "/events", Tags: []string{"events"},
		Summary: "List events, newest first, without their payloads",
	}, s.listEvents)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-event", Method: http.MethodGet, Path: "/events/{id}", Tags: []string{"events"},
		Summary: "Read one event", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *idInput) (*response[attune.Event], error) {
		event, err := s.deps.Events.Get(ctx, attune.EventID(in.ID))
		return &response[attune.Event]{Body: event}, err
	})
}

func (s *Server) postEvent(ctx context.Context, in *postEventInput) (*response[RecordedEvent], error) {
	caller := callerOf(ctx)
	if !caller.MaySend(in.Body.Trigger) {
		nameSubject(ctx, string(in.Body.Trigger))
		return nil, forbidden("the token of %s is for other triggers than %s: it may send events of %s", caller.Principal.Name,
			attune.Shorten(string(in.Body.Trigger), maxQuoted), joined(caller.Triggers))
	}
	key, err := dedupKey(in.Body.DedupKey, in.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return s.record(ctx, ingest.Arrival{
		Source: attune.SourceAPI, Trigger: in.Body.Trigger, Payload: in.Body.Payload, DedupKey: key, Principal: caller.Principal,
	})
}

// joined lists triggers for a message.
func joined(triggers []attune.Ref) string {
	if len(triggers) == 0 {
		return "none"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(triggers), " ", ", "), "[]")
}

// record records an arrival and returns the event with its enforcements.
func (s *Server) record(ctx context.Context, arrival ingest.Arrival) (*response[RecordedEvent], error) {
	recorded, err := s.deps.Ingest.Event(ctx, arrival)
	if err != nil {
		return nil, err
	}
	body := RecordedEvent{Event: summarizeEvent(recorded.Event), Enforcements: []RecordedEnforcement{}, Duplicate: recorded.Duplicate}
	for _, e := range recorded.Enforcements {
		body.Enforcements = append(body.Enforcements, RecordedEnforcement{
			ID: e.ID, Rule: e.Rule, Action: e.Action, Status: e.Status, Reason: e.Reason,
		})
	}
	return &response[RecordedEvent]{Location: fmt.Sprintf("%sevents/%d", apiPrefix, recorded.Event.ID), Body: body}, nil
}

// dedupKey returns the key from the body or the header. Different keys in both are an [attune.CodeInvalid] error.
func dedupKey(body, header string) (string, error) {
	if body != "" && header != "" && body != header {
		return "", attune.Errorf(attune.CodeInvalid, "body.dedup_key and header.Idempotency-Key differ: send one of them")
	}
	if body == "" {
		return header, attune.CheckText("header.Idempotency-Key", header, attune.MaxDedupKey)
	}
	return body, attune.CheckText("body.dedup_key", body, attune.MaxDedupKey)
}

func (s *Server) listEvents(ctx context.Context, in *listEventsInput) (*response[List[EventSummary]], error) {
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
