package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// EnforcementReader reads enforcements. An enforcement that does not exist is an [attune.CodeNotFound] error; lists are
// newest first.
type EnforcementReader interface {
	Get(ctx context.Context, id attune.EnforcementID) (attune.Enforcement, error)
	List(ctx context.Context, filter attune.EnforcementFilter, page attune.Page) ([]attune.Enforcement, error)
}

// Enforcement is an enforcement with its position in the queue and its execution.
type Enforcement struct {
	attune.Enforcement

	Key        *string       `json:"key,omitempty" doc:"Text of the key's value, which chose the lane; absent without lanes"`
	Position   int64         `json:"position,omitempty" doc:"Position in the line of its queue, 1 is next; absent when it is not in line"`
	Why        string        `json:"why,omitempty" doc:"Why it waits: for its turn, for its next attempt, or for a person"`
	HeldBy     []Obstacle    `json:"held_by,omitempty" doc:"Everything that keeps it waiting, the widest level first"`
	Estimate   *Estimate     `json:"estimate,omitempty" doc:"Estimated time until the grant: see no_estimate"`
	NoEstimate string        `json:"no_estimate,omitempty" doc:"Why there is no estimate, while it is in line"`
	Execution  *ExecutionRef `json:"execution,omitempty" doc:"Absent before the first grant"`
}

// ExecutionRef is a short form of an execution.
type ExecutionRef struct {
	ID            attune.ExecutionID     `json:"id"`
	Attempt       int                    `json:"attempt"`
	Status        attune.ExecutionStatus `json:"status"`
	AttemptStatus attune.ExecutionStatus `json:"attempt_status,omitempty" doc:"How the last attempt ended, while retrying"`
	RetryAt       *time.Time             `json:"retry_at,omitempty" doc:"Earliest start of the next attempt, while it keeps its slot"`
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
	Queue       attune.QueueKey          `json:"queue,omitempty" doc:"Chosen when the event is recorded; absent if it is rejected then"`
	Key         *string                  `json:"key,omitempty" doc:"Text of the key's value, which chose the lane; absent without lanes"`
	Lane        int32                    `json:"lane,omitempty" doc:"Number of the lane; absent without lanes and before admission"`
	Sequence    int64                    `json:"sequence,omitempty"`
	Charges     []attune.QuotaCharge     `json:"charges,omitempty" doc:"What it has used of quotas, until it gives the units back"`
	Units       []attune.RateCharge      `json:"units,omitempty" doc:"What it was charged at rates, by the units of their logs"`
	Refusal     *attune.GateRefusal      `json:"refusal,omitempty" doc:"Rate, quota or bound of its queue that refused it"`
	GrantNumber int64                    `json:"grant_number,omitempty"`
	Author      *attune.Author           `json:"author,omitempty" doc:"Author of a direct run; absent for a rule's enforcement"`
	CreatedAt   time.Time                `json:"created_at"`
	QueuedAt    *time.Time               `json:"queued_at,omitempty"`
	GrantedAt   *time.Time               `json:"granted_at,omitempty"`
	FinishedAt  *time.Time               `json:"finished_at,omitempty"`
}

func summarizeEnforcement(e attune.Enforcement) EnforcementSummary {
	return EnforcementSummary{
		ID: e.ID, Event: e.Event, Rule: e.Rule, Action: e.Action, ActionID: e.ActionID,
		Status: e.Status, Reason: e.Reason, Detail: e.Detail,
		Queue: e.Queue, Key: keyText(e.LaneName), Lane: e.Lane, Sequence: e.Sequence, GrantNumber: e.GrantNumber,
		Charges: e.Charges, Units: e.Units, Refusal: e.Refusal,
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
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-enforcements", Method: http.MethodGet, Path: "/enforcements", Tags: []string{"enforcements"},
		Summary: "List enforcements, newest first, without their parameters",
	}, s.listEnforcements)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-enforcement", Method: http.MethodGet, Path: "/enforcements/{id}", Tags: []string{"enforcements"},
		Summary: "Read one enforcement with its position in the queue and its execution", Errors: []int{http.StatusNotFound},
	}, s.getEnforcement)
}

func (s *Server) listEnforcements(ctx context.Context, in *listEnforcementsInput) (*response[List[EnforcementSummary]], error) {
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

// getEnforcement reads the enforcement, then its execution, then what it waits for. A change between two reads shows in the later
// read only: an enforcement that is granted in between has no position.
func (s *Server) getEnforcement(ctx context.Context, in *idInput) (*response[Enforcement], error) {
	id := attune.EnforcementID(in.ID)
	found, err := s.deps.Enforcements.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	body := Enforcement{Enforcement: found, Key: keyText(found.LaneName)}
	if found.Sequence > 0 || found.GrantNumber > 0 {
		if body.Execution, err = s.executionOf(ctx, id); err != nil {
			return nil, err
		}
	}
	switch found.Status {
	case attune.EnforcementQueued:
		err = s.explainWait(ctx, &body)
	case attune.EnforcementGranted, attune.EnforcementParked:
		body.Why, body.HeldBy = whyRetrying(found.Status, body.Execution)
	default: // the enforcement does not wait
	}
	return &response[Enforcement]{Body: body}, err
}

// executionOf returns the execution of an enforcement, or nil before its first grant.
func (s *Server) executionOf(ctx context.Context, id attune.EnforcementID) (*ExecutionRef, error) {
	executions, err := s.deps.Executions.List(ctx, attune.ExecutionFilter{Enforcement: id}, attune.Page{Limit: 1})
	if err != nil || len(executions) == 0 {
		return nil, err
	}
	x := executions[0]
	return &ExecutionRef{ID: x.ID, Attempt: x.Attempt, Status: x.Status, AttemptStatus: x.AttemptStatus, RetryAt: x.RetryAt}, nil
}
