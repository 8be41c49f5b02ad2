package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// ActionReader reads actions. One that does not exist is an [attune.CodeNotFound] error; lists are newest first.
type ActionReader interface {
	Action(ctx context.Context, ref attune.Ref) (attune.Action, error)
	Actions(ctx context.Context, page attune.Page) ([]attune.Action, error)
}

// Action is an action with its timeout as text, like every other duration.
type Action struct {
	attune.Action

	Timeout attune.Duration `json:"timeout" doc:"Wall time of one attempt" example:"10m0s"`
}

func showAction(a attune.Action) Action {
	return Action{Action: a, Timeout: attune.Duration(a.Timeout)}
}

// RunRequest is the body of POST /api/v1/actions/{ref}/run.
type RunRequest struct {
	Parameters json.RawMessage `json:"parameters,omitempty" doc:"A JSON object that fits the action's schema; an empty one unless given"`
}

// Run says which enforcement a direct run made.
type Run struct {
	Enforcement attune.EnforcementID     `json:"enforcement_id"`
	Event       attune.EventID           `json:"event_id"`
	Action      attune.Ref               `json:"action"`
	Status      attune.EnforcementStatus `json:"status"`
	Duplicate   bool                     `json:"duplicate" doc:"The idempotency key was used before: this is that run"`
}

type runInput struct {
	RefPath
	IdempotencyKey string `header:"Idempotency-Key" doc:"The same key for the same action is the same run; at most 255 bytes"`
	Body           *RunRequest
}

func (s *Server) registerActions() {
	register(s, huma.Operation{
		OperationID: "list-actions", Method: http.MethodGet, Path: "/actions", Tags: []string{"actions"},
		Summary: "List actions, newest first",
	}, s.listActions)
	register(s, huma.Operation{
		OperationID: "get-action", Method: http.MethodGet, Path: "/actions/{ref}", Tags: []string{"actions"},
		Summary: "Read one action", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *RefPath) (*answer[Action], error) {
		action, err := s.action(ctx, *in)
		return &answer[Action]{Body: showAction(action)}, err
	})
	register(s, huma.Operation{
		OperationID: "run-action", Method: http.MethodPost, Path: "/actions/{ref}/run", Tags: []string{"actions"},
		Summary: "Run an action; it waits its turn like any other", DefaultStatus: http.StatusAccepted,
		Errors: []int{
			http.StatusBadRequest, http.StatusNotFound, http.StatusConflict, http.StatusRequestEntityTooLarge,
			http.StatusUnsupportedMediaType,
		},
	}, s.runAction)
}

func (s *Server) action(ctx context.Context, in RefPath) (attune.Action, error) {
	if err := in.check(); err != nil {
		return attune.Action{}, err
	}
	return s.deps.Packs.Action(ctx, in.Ref)
}

func (s *Server) listActions(ctx context.Context, in *Paging) (*answer[List[Action]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Packs.Actions(ctx, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(a attune.Action) int64 { return int64(a.ID) }, showAction), nil
}

// runAction records that somebody asked for an action, as an event that no rule can listen to.
func (s *Server) runAction(ctx context.Context, in *runInput) (*answer[Run], error) {
	action, err := s.action(ctx, in.RefPath)
	if err != nil {
		return nil, err
	}
	if !action.Enabled {
		return nil, attune.Errorf(attune.CodeConflict, "action %q is disabled: its pack no longer declares it", action.Ref)
	}
	event, decision, err := s.manual(action, in)
	if err != nil {
		return nil, err
	}
	recorded, err := s.record(ctx, event, func(attune.Event, []attune.Candidate) []attune.Decision {
		return []attune.Decision{decision}
	})
	if err != nil {
		return nil, err
	}
	if len(recorded.Enforcements) != 1 {
		return nil, fmt.Errorf("run %q: event %d has %d enforcements", action.Ref, recorded.Event.ID, len(recorded.Enforcements))
	}
	made := recorded.Enforcements[0]
	return &answer[Run]{
		Location: fmt.Sprintf("%senforcements/%d", apiPrefix, made.ID),
		Body: Run{
			Enforcement: made.ID, Event: recorded.Event.ID, Action: action.Ref, Status: made.Status, Duplicate: recorded.Duplicate,
		},
	}, nil
}

// manual returns the event of a direct run and what it decides.
func (s *Server) manual(action attune.Action, in *runInput) (event attune.Event, decision attune.Decision, err error) {
	if err := checkText("header.Idempotency-Key", in.IdempotencyKey); err != nil {
		return event, decision, err
	}
	var parameters json.RawMessage
	if in.Body != nil {
		parameters = in.Body.Parameters
	}
	if decision, err = s.deps.Engine.Manual(action, parameters); err != nil {
		return event, decision, err
	}
	payload, err := json.Marshal(map[string]any{"action": action.Ref, "parameters": decision.Parameters})
	if err != nil {
		return event, decision, fmt.Errorf("encode the event of a run: %w", err)
	}
	if len(payload) > attune.MaxPayloadBytes {
		return event, decision, tooLarge("the payload", attune.MaxPayloadBytes)
	}
	event = attune.Event{Trigger: attune.ManualTrigger, Payload: payload, Source: attune.SourceManual}
	if in.IdempotencyKey != "" { // one trigger stands for every action, so the key must name the action
		event.DedupKey = string(action.Ref) + "/" + in.IdempotencyKey
	}
	return event, decision, nil
}
