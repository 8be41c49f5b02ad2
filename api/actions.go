package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/ingest"
)

// ActionReader reads actions. An action that does not exist is an [attune.CodeNotFound] error; lists are newest first.
type ActionReader interface {
	Action(ctx context.Context, ref attune.Ref) (attune.Action, error)
	Actions(ctx context.Context, page attune.Page) ([]attune.Action, error)
}

// Action is an action with its timeout as text ("10m0s"), like every duration of the API.
type Action struct {
	attune.Action

	Timeout attune.Duration `json:"timeout" doc:"Longest time that one attempt may run" example:"10m0s"`
}

func showAction(a attune.Action) Action {
	return Action{Action: a, Timeout: attune.Duration(a.Timeout)}
}

// RunRequest is the body of POST /api/v1/actions/{ref}/run.
type RunRequest struct {
	Attribution
	Parameters json.RawMessage `json:"parameters,omitempty" doc:"A JSON object that fits the action's schema, at most 512 KiB; default {}"`
}

// Run is the enforcement of a direct run.
type Run struct {
	Enforcement attune.EnforcementID     `json:"enforcement_id"`
	Event       attune.EventID           `json:"event_id"`
	Action      attune.Ref               `json:"action"`
	Status      attune.EnforcementStatus `json:"status"`
	Duplicate   bool                     `json:"duplicate" doc:"The key was used before: this is the earlier run"`
}

type runInput struct {
	RefPath
	IdempotencyKey string `header:"Idempotency-Key" doc:"The same key and action return the same run; at most 255 bytes"`
	Body           *RunRequest
}

func (s *Server) registerActions() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-actions", Method: http.MethodGet, Path: "/actions", Tags: []string{"actions"},
		Summary: "List actions, newest first",
	}, s.listActions)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-action", Method: http.MethodGet, Path: "/actions/{ref}", Tags: []string{"actions"},
		Summary: "Read one action", Errors: []int{http.StatusNotFound},
	}, func(ctx context.Context, in *RefPath) (*response[Action], error) {
		action, err := s.action(ctx, *in)
		return &response[Action]{Body: showAction(action)}, err
	})
	register(s, auth.RightRun, huma.Operation{
		OperationID: "run-action", Method: http.MethodPost, Path: "/actions/{ref}/run", Tags: []string{"actions"},
		Summary: "Run an action without a rule; the run waits in the queue of the action", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.runAction)
}

func (s *Server) action(ctx context.Context, in RefPath) (attune.Action, error) {
	if err := in.check(); err != nil {
		return attune.Action{}, err
	}
	return s.deps.Packs.Action(ctx, in.Ref)
}

func (s *Server) listActions(ctx context.Context, in *Paging) (*response[List[Action]], error) {
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

func (s *Server) runAction(ctx context.Context, in *runInput) (*response[Run], error) {
	if err := in.check(); err != nil {
		return nil, err
	}
	if err := attune.CheckText("header.Idempotency-Key", in.IdempotencyKey, attune.MaxDedupKey); err != nil {
		return nil, err
	}
	body := RunRequest{}
	if in.Body != nil {
		body = *in.Body
	}
	author, err := body.author(ctx)
	if err != nil {
		return nil, err
	}
	recorded, err := s.deps.Ingest.Run(ctx, ingest.DirectRun{
		Action: in.Ref, Parameters: body.Parameters, DedupKey: in.IdempotencyKey, Author: author,
	})
	if err != nil {
		return nil, err
	}
	made := recorded.Enforcements[0]
	return &response[Run]{
		Location: fmt.Sprintf("%senforcements/%d", apiPrefix, made.ID),
		Body: Run{
			Enforcement: made.ID, Event: recorded.Event.ID, Action: made.Action, Status: made.Status, Duplicate: recorded.Duplicate,
		},
	}, nil
}
