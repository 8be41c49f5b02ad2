package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Finish records how attempts ended, in one transaction, and says for each report, in the order given, what it changed.
//
// The first report about the current attempt of an execution ends it. Usually that finishes the execution: its enforcement
// becomes executed, the queue counts one more completion, and the grant is released at the time of the execution's end.
// Every further report about it is "repeated".
//
// An attempt that has failed, timed out or lost its worker is tried again if the policy of its queue, as it is at that
// moment, allows one more and nobody has asked to cancel it. The execution is then retrying, and keeps what the attempt has
// left until the next one begins. The policy says where the enforcement waits:
//
//   - hold: it stays granted, and its grant unreleased. "retrying" comes with the ticket of the next attempt.
//   - back: it gets a new place at the end of the line, and is announced through the outbox like a new one. "requeued" comes
//     with its new ticket.
//   - park: it waits outside for a person: see [Enforcements.Retry] and [Enforcements.GiveUp]. "parked" comes with its ticket.
//
// The last two give the slot back: the grant is released, and the queue counts one more completion. Further reports about
// the attempt are answered by where the enforcement waits.
//
// A report about another attempt is "stale", and one about an execution that does not exist is "unknown". None but the first
// report changes anything, so a batch may hold the same one any number of times.
//
// What a process printed is stored as far as PostgreSQL can: NUL characters and invalid UTF-8 become U+FFFD.
func (x *Executions) Finish(ctx context.Context, reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
	ids := make([]attune.ExecutionID, len(reports))
	for i, report := range reports {
		if err := checkReport(report); err != nil {
			return nil, err
		}
		ids[i] = report.Execution
	}
	completions := make([]attune.Completion, len(reports))
	err := x.db.inTx(ctx, "finish executions", func(tx pgx.Tx) error {
		holds, err := lockHolds(ctx, tx, ids)
		if err != nil {
			return err
		}
		var ends ends
		for i, report := range reports {
			completions[i] = ends.finish(holds[report.Execution], report)
		}
		return ends.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return completions, nil
}

func checkReport(report attune.ExecutionCompletedMessage) error {
	if err := report.Validate(); err != nil {
		return err
	}
	if len(report.Result) > 0 && !json.Valid(report.Result) {
		return attune.Errorf(attune.CodeInvalid, "%s of execution %d: the result is not JSON", report.RoutingKey(), report.Execution)
	}
	return nil
}

// finish decides what a report changes. h, which may be nil, is what the execution was before; afterwards it is what it is
// to become, so that the next report about it finds it ended.
func (e *ends) finish(h *hold, report attune.ExecutionCompletedMessage) attune.Completion {
	switch {
	case h == nil:
		return attune.Completion{Execution: report.Execution, Effect: attune.CompletionUnknown}
	case report.Attempt != h.attempt:
		return attune.Completion{Execution: h.execution, Queue: h.line.key, Ticket: h.ticket, Effect: attune.CompletionStale}
	case h.status != attune.ExecutionRequested && h.status != attune.ExecutionRunning:
		return h.completion()
	case h.triedAgain(report.Status):
		h.retry()
		e.add(h, report)
		return h.completion()
	}
	h.status, h.enforcement = report.Status, attune.EnforcementExecuted
	e.add(h, report)
	completion := h.completion()
	completion.Effect = attune.CompletionFinished
	return completion
}

// triedAgain reports whether an attempt that ended so is to be followed by another.
func (h *hold) triedAgain(end attune.ExecutionStatus) bool {
	switch end {
	case attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionAbandoned:
		return h.attempt < h.line.policy.MaxAttempts && !h.cancelled
	default:
		return false
	}
}

// retry lets the enforcement wait for its next attempt where the policy says.
func (h *hold) retry() {
	h.status = attune.ExecutionRetrying
	switch p := h.line.policy; p.RetryPlacement {
	case attune.RetryBack:
		h.toTheBack()
	case attune.RetryPark:
		h.enforcement = attune.EnforcementParked
	default:
		h.retryAt = h.line.now.Add(p.DelayBefore(h.attempt + 1))
	}
}

// toTheBack gives the enforcement a new place in its line.
func (h *hold) toTheBack() {
	place := h.line.next(h.ticket.EnqueuedAt)
	h.enforcement = attune.EnforcementQueued
	h.ticket.Sequence, h.ticket.EnqueuedAt = place.Sequence, place.EnqueuedAt
}

// completion says where an execution stands whose current attempt has ended.
func (h *hold) completion() attune.Completion {
	c := attune.Completion{Execution: h.execution, Queue: h.line.key, Ticket: h.ticket, Effect: attune.CompletionRepeated}
	if h.status != attune.ExecutionRetrying {
		return c
	}
	switch h.enforcement {
	case attune.EnforcementParked:
		c.Effect = attune.CompletionParked
	case attune.EnforcementQueued:
		c.Effect, c.Ticket.Attempt = attune.CompletionRequeued, h.attempt+1
	default:
		c.Effect, c.Ticket.Attempt, c.NotBefore = attune.CompletionRetrying, h.attempt+1, h.retryAt
	}
	return c
}
