package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
)

// Executions reads and cancels executions. An execution that does not exist is an [attune.CodeNotFound] error; lists are
// newest first.
type Executions interface {
	Get(ctx context.Context, id attune.ExecutionID) (attune.Execution, error)
	List(ctx context.Context, filter attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error)
	// Cancel ends an execution that has not started, and asks the worker to stop a running one. For an execution that has
	// ended, Cancel returns an [attune.CodeConflict] error.
	Cancel(ctx context.Context, id attune.ExecutionID, author attune.Author) (attune.Execution, error)
}

// Journal reads the history of an execution. An execution that does not exist has an empty history.
type Journal interface {
	// Attempts returns the ended attempts after which attune decided to retry, oldest first. The last attempt is among them if no
	// other attempt has begun since.
	Attempts(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionAttempt, error)
	// Changes returns the manual changes of the execution, oldest first.
	Changes(ctx context.Context, id attune.ExecutionID) ([]attune.ExecutionChange, error)
}

// Execution is an execution with its earlier attempts and its manual changes.
type Execution struct {
	attune.Execution

	Attempts []attune.ExecutionAttempt `json:"attempts,omitempty" doc:"Ended attempts that were to be retried, oldest first"`
	Changes  []attune.ExecutionChange  `json:"changes,omitempty" doc:"Manual changes of the execution, oldest first"`
}

// ExecutionSummary is an execution without its parameters and output.
type ExecutionSummary struct {
	ID          attune.ExecutionID     `json:"id"`
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Action      attune.Ref             `json:"action"`
	ActionID    attune.ActionID        `json:"action_id"`
	Queue       attune.QueueKey        `json:"queue"`
	Sequence    int64                  `json:"sequence"`
	Attempt     int                    `json:"attempt"`
	Status      attune.ExecutionStatus `json:"status"`
	Reason      attune.Reason          `json:"reason,omitempty"`
	Error       string                 `json:"error,omitempty"`
	// AttemptStatus and RetryAt are present while the execution is retrying.
	AttemptStatus attune.ExecutionStatus `json:"attempt_status,omitempty" doc:"How the last attempt ended, while retrying"`
	RetryAt       *time.Time             `json:"retry_at,omitempty" doc:"Earliest start of the next attempt, while it keeps its slot"`
	Pool          string                 `json:"pool"`
	Worker        string                 `json:"worker,omitempty"`
	ExitCode      *int                   `json:"exit_code,omitempty"`
	RequestedAt   time.Time              `json:"requested_at"`
	StartedAt     *time.Time             `json:"started_at,omitempty"`
	LeaseUntil    *time.Time             `json:"lease_until,omitempty" doc:"When the attempt is given up without a renewal"`
	// CancelRequestedAt is present after the first cancel of a running execution.
	CancelRequestedAt *time.Time `json:"cancel_requested_at,omitempty" doc:"When the worker was first asked to stop the execution"`
	FinishedAt        *time.Time `json:"finished_at,omitempty"`
}

func summarizeExecution(e attune.Execution) ExecutionSummary {
	return ExecutionSummary{
		ID: e.ID, Enforcement: e.Enforcement, Action: e.Action, ActionID: e.ActionID,
		Queue: e.Queue, Sequence: e.Sequence, Attempt: e.Attempt,
		Status: e.Status, Reason: e.Reason, Error: e.Error, AttemptStatus: e.AttemptStatus, RetryAt: e.RetryAt,
		Pool: e.Pool, Worker: e.Worker, ExitCode: e.ExitCode,
		RequestedAt: e.RequestedAt, StartedAt: e.StartedAt, LeaseUntil: e.LeaseUntil,
		CancelRequestedAt: e.CancelRequestedAt, FinishedAt: e.FinishedAt,
	}
}

type listExecutionsInput struct {
	Paging
	Enforcement int64                  `query:"enforcement" minimum:"1"`
	Action      attune.Ref             `query:"action"`
	Queue       attune.QueueKey        `query:"queue"`
	Status      attune.ExecutionStatus `query:"status"`
	Worker      string                 `query:"worker"`
}

func (s *Server) registerExecutions() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "list-executions", Method: http.MethodGet, Path: "/executions", Tags: []string{"executions"},
		Summary: "List executions, newest first, without their parameters and output",
	}, s.listExecutions)
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-execution", Method: http.MethodGet, Path: "/executions/{id}", Tags: []string{"executions"},
		Summary: "Read one execution with its output, its earlier attempts and its manual changes", Errors: []int{http.StatusNotFound},
	}, s.getExecution)
	register(s, auth.RightOperate, huma.Operation{
		OperationID: "cancel-execution", Method: http.MethodPost, Path: "/executions/{id}/cancel", Tags: []string{"executions"},
		Summary: "Cancel an execution; a running one ends when its worker reports it", DefaultStatus: http.StatusAccepted,
		Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, s.cancelExecution)
}

func (s *Server) getExecution(ctx context.Context, in *idInput) (*response[Execution], error) {
	execution, err := s.deps.Executions.Get(ctx, attune.ExecutionID(in.ID))
	if err != nil {
		return nil, err
	}
	attempts, err := s.deps.Executions.Attempts(ctx, execution.ID)
	if err != nil {
		return nil, err
	}
	changes, err := s.deps.Executions.Changes(ctx, execution.ID)
	return &response[Execution]{Body: Execution{Execution: execution, Attempts: attempts, Changes: changes}}, err
}

func (s *Server) listExecutions(ctx context.Context, in *listExecutionsInput) (*response[List[ExecutionSummary]], error) {
	page, err := in.page()
	if err != nil {
		return nil, err
	}
	if err := checkRefs(map[string]attune.Ref{"query.action": in.Action}); err != nil {
		return nil, err
	}
	if err := checkQueue(in.Queue); err != nil {
		return nil, err
	}
	if err := attune.CheckText("query.worker", in.Worker, attune.MaxWorkerName); err != nil {
		return nil, err
	}
	found, err := s.deps.Executions.List(ctx, attune.ExecutionFilter{
		Enforcement: attune.EnforcementID(in.Enforcement), Action: in.Action,
		Queue: in.Queue, Status: in.Status, Worker: in.Worker,
	}, page)
	if err != nil {
		return nil, err
	}
	return listOf(found, page, func(e attune.Execution) int64 { return int64(e.ID) }, summarizeExecution), nil
}

type changeExecutionInput struct {
	ID   int64 `path:"id" minimum:"1" doc:"The execution's id"`
	Body *Attribution
}

func (s *Server) cancelExecution(ctx context.Context, in *changeExecutionInput) (*response[ExecutionSummary], error) {
	author, err := in.Body.author(ctx)
	if err != nil {
		return nil, err
	}
	execution, err := s.deps.Executions.Cancel(ctx, attune.ExecutionID(in.ID), author)
	if err != nil {
		return nil, err
	}
	s.logger.InfoContext(ctx, "the cancel of an execution was requested", "execution", execution.ID, "status", execution.Status,
		"author", author.Who(), "note", author.Note, "request_id", requestInfoOf(ctx).id)
	return &response[ExecutionSummary]{Body: summarizeExecution(execution)}, nil
}
