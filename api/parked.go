package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
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
	Body *Change
}

func (s *Server) registerEnforcementControl() {
	register(s, huma.Operation{
		OperationID: "cancel-enforcement", Method: http.MethodPost, Path: "/enforcements/{id}/cancel", Tags: []string{"enforcements"},
		Summary: "Cancel an enforcement that waits in line or is parked",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.cancelEnforcement)
	register(s, huma.Operation{
		OperationID: "retry-enforcement", Method: http.MethodPost, Path: "/enforcements/{id}/retry", Tags: []string{"enforcements"},
		Summary: "Retry a parked enforcement: put it at the end of the line of its queue",
		Errors:  []int{http.StatusNotFound, http.StatusConflict},
	}, s.retryEnforcement)
}

// cancelEnforcement cancels a waiting or parked enforcement. When a grant comes at the same time, the queue decides which of
// the two was first.
func (s *Server) cancelEnforcement(ctx context.Context, in *changeEnforcementInput) (*response[attune.QueueStatus], error) {
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
		return s.giveUp(ctx, found, author)
	case attune.EnforcementCreated:
		return nil, attune.Errorf(attune.CodeConflict, "enforcement %d has not reached its queue yet: try again in a moment", id)
	case attune.EnforcementGranted:
		return nil, attune.Errorf(attune.CodeConflict, "enforcement %d holds a slot already: cancel its execution", id)
	default:
		return nil, attune.Errorf(attune.CodeConflict, "enforcement %d has ended: it is %s", id, found.Status)
	}
	ticket := attune.Ticket{Enforcement: id, Sequence: found.Sequence}
	if found.QueuedAt != nil {
		ticket.EnqueuedAt = *found.QueuedAt
	}
	status, err := s.deps.Control.CancelByPerson(ctx, found.Queue, ticket, author)
	return &response[attune.QueueStatus]{Body: status}, err
}

// giveUp ends a parked enforcement. It sends nothing to the queue: the queue got the slot back when the enforcement was parked.
func (s *Server) giveUp(ctx context.Context, parked attune.Enforcement, author attune.Author) (*response[attune.QueueStatus], error) {
	if _, err := s.deps.Enforcements.GiveUp(ctx, parked.ID, author); err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "a parked enforcement was given up", "enforcement", parked.ID, "author", author.Who(), "note", author.Note,
		"request_id", requestInfoOf(ctx).id)
	detail, _, err := s.deps.Queues.Detail(ctx, parked.Queue, 0)
	if err != nil {
		return nil, err
	}
	return &response[attune.QueueStatus]{Body: attune.QueueStatus{
		Queue: parked.Queue, Mode: detail.Stats.Mode, Limit: detail.Stats.MaxConcurrent, Override: detail.Override,
		Active: int(detail.Stats.ActiveCount), Waiting: int(detail.Stats.QueueLength),
	}}, nil
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
