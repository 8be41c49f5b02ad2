package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

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
		slots, err := lockSlots(ctx, tx, ids)
		if err != nil {
			return err
		}
		var ends attemptEnds
		for i, report := range reports {
			completions[i] = ends.finish(slots[report.Execution], report)
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

// finish decides what a report changes. s, which may be nil, is what the execution was before; afterwards it is what it is
// to become, so that the next report about it finds it ended.
func (e *attemptEnds) finish(s *slot, report attune.ExecutionCompletedMessage) attune.Completion {
	switch {
	case s == nil:
		return attune.Completion{Execution: report.Execution, Effect: attune.CompletionUnknown}
	case report.Attempt != s.attempt:
		return attune.Completion{Execution: s.execution, Queue: s.queue.key, Ticket: s.ticket, Effect: attune.CompletionStale}
	case s.status != attune.ExecutionRequested && s.status != attune.ExecutionRunning:
		return s.completion()
	case s.triedAgain(report.Status):
		s.retry()
		e.add(s, report)
		return s.completion()
	}
	s.status, s.enforcement = report.Status, attune.EnforcementExecuted
	e.add(s, report)
	completion := s.completion()
	completion.Effect = attune.CompletionFinished
	return completion
}

// triedAgain reports whether an attempt that ended so is to be followed by another.
func (s *slot) triedAgain(end attune.ExecutionStatus) bool {
	switch end {
	case attune.ExecutionFailed, attune.ExecutionTimedOut, attune.ExecutionAbandoned:
		return s.attempt < s.queue.policy.MaxAttempts && !s.cancelled
	default:
		return false
	}
}

// retry lets the enforcement wait for its next attempt where the policy says.
func (s *slot) retry() {
	s.status = attune.ExecutionRetrying
	switch p := s.queue.policy; p.RetryPlacement {
	case attune.RetryBack:
		s.toTheBack()
	case attune.RetryPark:
		s.enforcement = attune.EnforcementParked
	default:
		s.retryAt = s.queue.now.Add(p.DelayBefore(s.attempt + 1))
	}
}

// toTheBack gives the enforcement a new place in its line.
func (s *slot) toTheBack() {
	place := s.queue.next(s.ticket.EnqueuedAt)
	s.enforcement = attune.EnforcementQueued
	s.ticket.Sequence, s.ticket.EnqueuedAt = place.Sequence, place.EnqueuedAt
}

// completion says where an execution stands whose current attempt has ended.
func (s *slot) completion() attune.Completion {
	c := attune.Completion{Execution: s.execution, Queue: s.queue.key, Ticket: s.ticket, Effect: attune.CompletionRepeated}
	if s.status != attune.ExecutionRetrying {
		return c
	}
	switch s.enforcement {
	case attune.EnforcementParked:
		c.Effect = attune.CompletionParked
	case attune.EnforcementQueued:
		c.Effect, c.Ticket.Attempt = attune.CompletionRequeued, s.attempt+1
	default:
		c.Effect, c.Ticket.Attempt, c.NotBefore = attune.CompletionRetrying, s.attempt+1, s.retryAt
	}
	return c
}

// attemptEnds are what the ends of attempts change: columns of the executions, and then of the enforcements that give their
// slots back.
type attemptEnds struct {
	ids                               []attune.ExecutionID
	statuses, attemptStatuses         []attune.ExecutionStatus
	reasons                           []attune.Reason
	errors, stdouts, stderrs, workers []string
	exitCodes                         []*int
	results                           []*string
	truncated                         []bool
	retryAt                           []*time.Time

	retried  []attune.ExecutionID // with a next attempt to come
	released releases
	requeued []attune.Message // announce enforcements that have gone to the back of the line
	queues   []*lockedQueue   // their queues, each once
}

// add adds s as a report has left it.
func (e *attemptEnds) add(s *slot, report attune.ExecutionCompletedMessage) {
	var attemptStatus attune.ExecutionStatus
	if s.status == attune.ExecutionRetrying {
		attemptStatus = report.Status
		e.retried = append(e.retried, s.execution)
	}
	e.ids = append(e.ids, s.execution)
	e.statuses = append(e.statuses, s.status)
	e.attemptStatuses = append(e.attemptStatuses, attemptStatus)
	e.retryAt = append(e.retryAt, orNullTime(s.retryAt))
	e.reasons = append(e.reasons, report.Reason)
	e.errors = append(e.errors, storable(report.Error))
	e.exitCodes = append(e.exitCodes, report.ExitCode)
	e.results = append(e.results, orNull(storableJSON(report.Result)))
	e.stdouts = append(e.stdouts, storable(report.Stdout))
	e.stderrs = append(e.stderrs, storable(report.Stderr))
	e.truncated = append(e.truncated, report.Truncated)
	e.workers = append(e.workers, storable(report.Worker))
	if s.enforcement != attune.EnforcementGranted {
		e.released.add(s)
	}
	if s.enforcement == attune.EnforcementQueued {
		e.requeued = append(e.requeued, attune.EnforcementCreatedMessage{Enforcement: s.ticket.Enforcement})
		if !slices.Contains(e.queues, s.queue) {
			e.queues = append(e.queues, s.queue)
		}
	}
}

const finishSQL = `
UPDATE executions x SET status = u.status, attempt_status = u.attempt_status, reason = u.reason, error = u.error,
	exit_code = u.exit_code, result = u.result::json, stdout = u.stdout, stderr = u.stderr, truncated = u.truncated,
	worker = CASE WHEN x.worker = '' THEN u.worker ELSE x.worker END, retry_at = u.retry_at, lease_until = NULL,
	finished_at = CASE WHEN u.status <> 'retrying'
		THEN GREATEST(clock_timestamp(), x.requested_at, x.started_at, x.cancel_requested_at) END
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::text[],
	$10::boolean[], $11::text[], $12::timestamptz[])
	AS u (id, status, attempt_status, reason, error, exit_code, result, stdout, stderr, truncated, worker, retry_at)
WHERE x.id = u.id`

// store writes the ends of attempts that lockSlots has locked.
func (e *attemptEnds) store(ctx context.Context, tx pgx.Tx) error {
	if len(e.ids) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(finishSQL, e.ids, e.statuses, e.attemptStatuses, e.reasons, e.errors, e.exitCodes, e.results, e.stdouts,
		e.stderrs, e.truncated, e.workers, e.retryAt)
	if len(e.retried) > 0 {
		batch.Queue(insertAttemptsSQL, e.retried)
	}
	e.released.addTo(batch)
	addChangedQueues(batch, e.queues...)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return post(ctx, tx, e.requeued...)
}

// releases are slots that are given back, as columns: whose, and what becomes of the enforcement.
type releases struct {
	ids       []attune.ExecutionID
	statuses  []attune.EnforcementStatus
	sequences []int64
	queuedAt  []time.Time
}

func (r *releases) add(s *slot) {
	r.ids = append(r.ids, s.execution)
	r.statuses = append(r.statuses, s.enforcement)
	r.sequences = append(r.sequences, s.ticket.Sequence)
	r.queuedAt = append(r.queuedAt, s.ticket.EnqueuedAt)
}

// releaseSQL counts the enforcements that it changed, so that the counters of a queue always add up, and closes their
// entries in the log of grants: with the end of the execution, or of the attempt that is to be followed by another.
const releaseSQL = `
WITH ended AS (
	SELECT e.id, e.queue_id, e.grant_number, u.status, u.sequence, u.queued_at, x.finished_at,
		COALESCE(x.finished_at, a.finished_at) AS released_at
	FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[]) AS u (execution_id, status, sequence, queued_at)
		JOIN executions x ON x.id = u.execution_id JOIN enforcements e ON e.id = x.enforcement_id
		LEFT JOIN execution_attempts a ON a.execution_id = x.id AND a.attempt = x.attempt
), released AS (
	UPDATE enforcements e SET status = n.status, sequence = n.sequence, queued_at = n.queued_at, finished_at = n.finished_at,
		grant_number = CASE WHEN n.status = 'queued' THEN NULL ELSE e.grant_number END,
		granted_at = CASE WHEN n.status = 'queued' THEN NULL ELSE e.granted_at END
	FROM ended n WHERE e.id = n.id AND e.status = 'granted'
	RETURNING n.queue_id, n.grant_number, n.released_at
), logged AS (
	UPDATE grants g SET released_at = r.released_at FROM released r
	WHERE g.queue_id = r.queue_id AND g.number = r.grant_number
)
UPDATE queues q SET total_completed = q.total_completed + r.count, freed_at = clock_timestamp(),
	updated_at = clock_timestamp()
FROM (SELECT queue_id, count(*) AS count FROM released GROUP BY queue_id) r WHERE q.id = r.queue_id`

func (r *releases) addTo(batch *pgx.Batch) {
	if len(r.ids) > 0 {
		batch.Queue(releaseSQL, r.ids, r.statuses, r.sequences, r.queuedAt)
	}
}
