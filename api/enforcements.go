package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// EnforcementReader reads enforcements. One that does not exist is an [attune.CodeNotFound] error; lists are newest
// first.
type EnforcementReader interface {
	Get(ctx context.Context, id attune.EnforcementID) (attune.Enforcement, error)
	List(ctx context.Context, filter attune.EnforcementFilter, page attune.Page) ([]attune.Enforcement, error)
	// Position returns the place among those that wait: 1 is next, 0 is not waiting.
	Position(ctx context.Context, id attune.EnforcementID) (int64, error)
}

// Enforcement is an enforcement with its place in the queue and what became of it.
type Enforcement struct {
	attune.Enforcement

	Position  int64         `json:"position,omitempty" doc:"Place among those that wait, 1 is next; absent when it does not wait"`
	Why       string        `json:"why,omitempty" doc:"Why it waits, for its turn, its next attempt or a person, in a sentence"`
	Estimate  *Estimate     `json:"estimate,omitempty" doc:"How long it will probably go on waiting; absent when too little is known"`
	Execution *ExecutionRef `json:"execution,omitempty" doc:"Absent before the grant has led to one"`
}

// ExecutionRef is an execution in short.
type ExecutionRef struct {
	ID            attune.ExecutionID     `json:"id"`
	Attempt       int                    `json:"attempt"`
	Status        attune.ExecutionStatus `json:"status"`
	AttemptStatus attune.ExecutionStatus `json:"attempt_status,omitempty" doc:"How the attempt has ended, while the next is still to come"`
	RetryAt       *time.Time             `json:"retry_at,omitempty" doc:"When the next attempt may start, while it keeps its slot for that"`
}

// EnforcementSummary is an enforcement without its parameters.
type EnforcementSummary struct {
	ID          attune.EnforcementID     `json:"id"`
	Event       attune.EventID           `json:"event_id"`
	Rule        attune.Ref               `json:"rule,omitempty"`
	Action      attune.Ref               `json:"action"`
	ActionID    attune.ActionID          `json:"action_id"`
	Status      attune.EnforcementStatus `json:"status"`
	Reason      attune.Reason            `json:"reason,omitempty"`
	Detail      string                   `json:"detail,omitempty"`
	Queue       attune.QueueKey          `json:"queue,omitempty" doc:"Chosen when the event was recorded; absent if it was rejected then"`
	Lane        int32                    `json:"lane,omitempty" doc:"Of the queue; absent in a queue without lanes"`
	Sequence    int64                    `json:"sequence,omitempty"`
	GrantNumber int64                    `json:"grant_number,omitempty"`
	Author      *attune.Author           `json:"author,omitempty" doc:"Of a direct run: who asked for it"`
	CreatedAt   time.Time                `json:"created_at"`
	QueuedAt    *time.Time               `json:"queued_at,omitempty"`
	GrantedAt   *time.Time               `json:"granted_at,omitempty"`
	FinishedAt  *time.Time               `json:"finished_at,omitempty"`
}

func summarizeEnforcement(e attune.Enforcement) EnforcementSummary {
	return EnforcementSummary{
		ID: e.ID, Event: e.Event, Rule: e.Rule, Action: e.Action, ActionID: e.ActionID,
		Status: e.Status, Reason: e.Reason, Detail: e.Detail,
		Queue: e.Queue, Lane: e.Lane, Sequence: e.Sequence, GrantNumber: e.GrantNumber,
		Author: e.Author, CreatedAt: e.CreatedAt, QueuedAt: e.QueuedAt, GrantedAt: e.GrantedAt, FinishedAt: e.FinishedAt,
	}
}

type listEnforcementsInput struct {
	Paging
	Event  int64                    `query:"event" minimum:"1"`
	Rule   attune.Ref               `query:"rule"`
	Action attune.Ref               `query:"action"`
	Queue  attune.QueueKey          `query:"queue"`
	Status attune.EnforcementStatus `query:"status"`
	Reason attune.Reason            `query:"reason"`
}

func (s *Server) registerEnforcements() {
	register(s, huma.Operation{
		OperationID: "list-enforcements", Method: http.MethodGet, Path: "/enforcements", Tags: []string{"enforcements"},
		Summary: "List enforcements, newest first, without their parameters",
	}, s.listEnforcements)
	register(s, huma.Operation{
		OperationID: "get-enforcement", Method: http.MethodGet, Path: "/enforcements/{id}", Tags: []string{"enforcements"},
		Summary: "Read one enforcement: its place in the queue, and its execution", Errors: []int{http.StatusNotFound},
	}, s.getEnforcement)
}

func (s *Server) listEnforcements(ctx context.Context, in *listEnforcementsInput) (*answer[List[EnforcementSummary]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	if err := checkRefs(map[string]attune.Ref{"query.rule": in.Rule, "query.action": in.Action}); err != nil {
		return nil, err
	}
	if err := checkQueue(in.Queue); err != nil {
		return nil, err
	}
	found, err := s.deps.Enforcements.List(ctx, attune.EnforcementFilter{
		Event: attune.EventID(in.Event), Rule: in.Rule, Action: in.Action,
		Queue: in.Queue, Status: in.Status, Reason: in.Reason,
	}, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(e attune.Enforcement) int64 { return int64(e.ID) }, summarizeEnforcement), nil
}

// getEnforcement reads three things, one after the other. What changes in between shows as the later of the two: an
// enforcement that is granted meanwhile has no position any more.
func (s *Server) getEnforcement(ctx context.Context, in *idInput) (*answer[Enforcement], error) {
	id := attune.EnforcementID(in.ID)
	found, err := s.deps.Enforcements.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	body := Enforcement{Enforcement: found}
	if found.Sequence > 0 || found.GrantNumber > 0 {
		if body.Execution, err = s.executionOf(ctx, id); err != nil {
			return nil, err
		}
	}
	switch found.Status {
	case attune.EnforcementQueued:
		err = s.explainWait(ctx, &body)
	case attune.EnforcementGranted, attune.EnforcementParked:
		body.Why = whyBetween(found.Status, body.Execution)
	default: // it waits for nothing
	}
	return &answer[Enforcement]{Body: body}, err
}

// executionOf is what an enforcement that was accepted has led to, if it was granted since.
func (s *Server) executionOf(ctx context.Context, id attune.EnforcementID) (*ExecutionRef, error) {
	executions, err := s.deps.Executions.List(ctx, attune.ExecutionFilter{Enforcement: id}, attune.Page{Limit: 1})
	if err != nil || len(executions) == 0 {
		return nil, err
	}
	x := executions[0]
	return &ExecutionRef{ID: x.ID, Attempt: x.Attempt, Status: x.Status, AttemptStatus: x.AttemptStatus, RetryAt: x.RetryAt}, nil
}
