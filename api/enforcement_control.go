package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// ParkedEnforcements retries or ends parked enforcements: their last attempts failed, and they wait for a person. For an
// enforcement that is not parked, both methods return an [attune.CodeConflict] error.
type ParkedEnforcements interface {
	// Retry puts an enforcement at the end of the line of its queue.
	Retry(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error)
	// GiveUp ends an enforcement. Its execution gets the status of its last attempt.
	GiveUp(ctx context.Context, id attune.EnforcementID, author attune.Author) (attune.Enforcement, error)
}

type changeEnforcementInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The enforcement's id"`
	Body *Attribution
}

func (s *Server) registerEnforcementControl() {
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "cancel-enforcement", Method: http.MethodPost, Path: "/enforcements/{id}/cancel", Tags: []string{"enforcements"},
		Summary: "Cancel an enforcement that waits in line or is parked",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.cancelEnforcement)
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "retry-enforcement", Method: http.MethodPost, Path: "/enforcements/{id}/retry", Tags: []string{"enforcements"},
		Summary: "Retry a parked enforcement: put it at the end of the line of its queue",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.retryEnforcement)
}

// cancelEnforcement cancels a waiting or parked enforcement, and responds with the enforcement. When a grant comes at the same
// time, the queue decides which of the two was first. The cancel is the last step that can fail: an error means that nothing
// was cancelled, or that a repeated request is needed to find out.
func (s *Server) cancelEnforcement(ctx context.Context, in *changeEnforcementInput) (*response[EnforcementSummary], error) {
	id := attune.EnforcementID(in.ID)
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	found, err := s.deps.Enforcements.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	switch found.Status {
	case attune.EnforcementQueued:
	case attune.EnforcementParked:
		return s.giveUp(ctx, id, author)
	case attune.EnforcementCreated:
		return nil, attune.Errorf(attune.CodeConflict, "enforcement %d has not reached its queue yet: try again in a moment", id)
	case attune.EnforcementGranted:
		return nil, s.refuseGranted(ctx, id)
	default:
		return nil, attune.Errorf(attune.CodeConflict, "enforcement %d has ended: it is %s", id, found.Status)
	}
	return s.cancelWaiting(ctx, found, author)
}

// cancelWaiting takes a waiting enforcement out of its queue. The response has the status and the reason that the queue has
// recorded, and no time of the end: only the row has it.
func (s *Server) cancelWaiting(
	ctx context.Context, waiting attune.Enforcement, author attune.Author,
) (*response[EnforcementSummary], error) {
	ticket := attune.Ticket{Enforcement: waiting.ID, Sequence: waiting.Sequence}
	if waiting.QueuedAt != nil {
		ticket.EnqueuedAt = *waiting.QueuedAt
	}
	if _, err := s.deps.Control.CancelByPerson(ctx, waiting.Queue, ticket, author); err != nil {
		return nil, err
	}
	waiting.Status, waiting.Reason = attune.EnforcementCancelled, attune.ReasonCancelled
	return &response[EnforcementSummary]{Body: summarizeEnforcement(waiting)}, nil
}

// refuseGranted returns the error for the cancel of an enforcement that holds a slot. It names the request that ends its execution.
func (s *Server) refuseGranted(ctx context.Context, id attune.EnforcementID) error {
	execution, err := s.executionOf(ctx, id)
	if err != nil {
		return err
	}
	advice := "its execution is about to be created: try again in a moment"
	if execution != nil {
		advice = fmt.Sprintf("cancel its execution with POST /api/v1/executions/%d/cancel", execution.ID)
	}
	return attune.Errorf(attune.CodeConflict, "enforcement %d holds a slot already: %s", id, advice)
}

// giveUp ends a parked enforcement. It sends nothing to the queue: the queue got the slot back when the enforcement was parked.
func (s *Server) giveUp(ctx context.Context, id attune.EnforcementID, author attune.Author) (*response[EnforcementSummary], error) {
	ended, err := s.deps.Enforcements.GiveUp(ctx, id, author)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a parked enforcement was given up", "enforcement", id, "author", author.Who(), "note", author.Note,
		"request_id", requestInfoOf(ctx).id)
	return &response[EnforcementSummary]{Body: summarizeEnforcement(ended)}, nil
}

func (s *Server) retryEnforcement(ctx context.Context, in *changeEnforcementInput) (*response[EnforcementSummary], error) {
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	retried, err := s.deps.Enforcements.Retry(ctx, attune.EnforcementID(in.ID), author)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a parked enforcement was put in line again", "enforcement", retried.ID,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return &response[EnforcementSummary]{Body: summarizeEnforcement(retried)}, nil
}
