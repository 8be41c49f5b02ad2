package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Finish records the end of attempts in one transaction, and returns the effect of each report in the order of reports.
//
// The first report about the current attempt of an execution ends the attempt. Without a retry, the execution ends as well: its
// enforcement becomes executed, the queue counts one more completion, and the grant is released at the time of the execution's
// end. The effect is "finished"; that of any later report is "repeated".
//
// An attempt that failed, timed out or lost its worker is retried if the queue's stored policy allows another attempt and no
// cancel was requested. The execution becomes retrying and keeps the output of the attempt until the next one is requested. The
// policy says where the enforcement waits:
//
//   - hold: the enforcement stays granted and keeps its slot. The effect is "retrying", with the ticket of the next attempt.
//   - back: the enforcement gets a new place at the end of the line, and the outbox announces it like a new one. The effect is
//     "requeued", with the new ticket.
//   - park: the enforcement waits outside the line for a person: see [Enforcements.Retry] and [Enforcements.GiveUp]. The effect
//     is "parked", with its ticket.
//
// With back and park, the slot is given back: the grant is released, and the queue counts one more completion. A later report
// about the attempt returns the effect for the place where the enforcement waits.
//
// A report about another attempt is "stale", a report about an unknown execution is "unknown", and a report without the key that
// has claimed the attempt is "forged". A report with another pool than that of the attempt is "foreign". Only the first report changes
// anything, so a batch may contain the same report several times.
//
// The output of a process is stored as far as PostgreSQL can: NUL characters and invalid UTF-8 become U+FFFD.
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
		locked, err := lockExecutions(ctx, tx, ids)
		if err != nil {
			return err
		}
		var finished finishedAttempts
		for i, report := range reports {
			completions[i] = finished.finish(locked[report.Execution], report)
		}
		return finished.store(ctx, tx)
	})
	if err != nil {
		return nil, err
	}
	return completions, nil
}

// Ended returns the completions of attempts that attune itself has ended, in the order of ended. It changes nothing. The effect is
// that of a repeated report; for an attempt that has not ended it is "stale".
func (x *Executions) Ended(ctx context.Context, ended []attune.ExecutionEndedMessage) ([]attune.Completion, error) {
	ids := make([]attune.ExecutionID, len(ended))
	for i, m := range ended {
		ids[i] = m.Execution
	}
	completions := make([]attune.Completion, len(ended))
	err := x.db.inTx(ctx, "read ended executions", func(tx pgx.Tx) error {
		locked, err := lockExecutions(ctx, tx, ids)
		for i, m := range ended {
			completions[i] = locked[m.Execution].completionOf(m.Execution, m.Attempt)
		}
		return err
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
		return attune.Errorf(attune.CodeInvalid, "%s of execution %d: the result is not JSON",
			attune.KeyExecutionCompleted, report.Execution)
	}
	return nil
}

// finish decides the effect of a report. It updates l, so that the next report about the execution sees the change. l is nil
// for an unknown execution.
func (f *finishedAttempts) finish(l *lockedExecution, report attune.ExecutionCompletedMessage) attune.Completion {
	switch {
	case l == nil || report.Attempt != l.attempt:
		return l.completionOf(report.Execution, report.Attempt)
	case l.pool != report.Pool:
		return attune.Completion{Execution: l.id, Queue: l.queue.key, Ticket: l.ticket, Effect: attune.CompletionForeign}
	case !bytes.Equal(l.key, report.Key[:]):
		return attune.Completion{Execution: l.id, Queue: l.queue.key, Ticket: l.ticket, Effect: attune.CompletionForged}
	case !l.underWay():
		return l.completion()
	}
	return f.end(l, report)
}

// end ends the current attempt of an execution that is under way.
func (f *finishedAttempts) end(l *lockedExecution, report attune.ExecutionCompletedMessage) attune.Completion {
	if l.retries(report) {
		l.retry()
		f.add(l, report)
		return l.completion()
	}
	l.status, l.enforcementStatus = report.Status, attune.EnforcementExecuted
	f.add(l, report)
	completion := l.completion()
	completion.Effect = attune.CompletionFinished
	return completion
}

// finishedAttempts collects, as columns, the changes to executions whose attempts have ended, and to enforcements that give
// their slots back.
type finishedAttempts struct {
	ids                               []attune.ExecutionID
	statuses, attemptStatuses         []attune.ExecutionStatus
	reasons                           []attune.Reason
	errors, stdouts, stderrs, workers []string
	exitCodes                         []*int
	results                           []*string
	truncated                         []bool
	retryAt                           []*time.Time

	retried  []attune.ExecutionID   // executions with another attempt to come
	unused   []attune.EnforcementID // enforcements whose execution was cancelled before its first attempt was claimed
	released releases
	requeued []attune.Message // one per enforcement that moves to the end of its line
	queues   []*lockedQueue   // of these enforcements, each once
}

// add adds l with the changes of a report.
func (f *finishedAttempts) add(l *lockedExecution, report attune.ExecutionCompletedMessage) {
	var attemptStatus attune.ExecutionStatus
	if l.status == attune.ExecutionRetrying {
		attemptStatus = report.Status
		f.retried = append(f.retried, l.id)
	}
	f.ids = append(f.ids, l.id)
	f.statuses = append(f.statuses, l.status)
	f.attemptStatuses = append(f.attemptStatuses, attemptStatus)
	f.retryAt = append(f.retryAt, orNullTime(l.retryAt))
	f.reasons = append(f.reasons, report.Reason)
	f.errors = append(f.errors, storable(report.Error))
	f.exitCodes = append(f.exitCodes, report.ExitCode)
	f.results = append(f.results, orNull(storableJSON(report.Result)))
	f.stdouts = append(f.stdouts, storable(report.Stdout))
	f.stderrs = append(f.stderrs, storable(report.Stderr))
	f.truncated = append(f.truncated, report.Truncated)
	f.workers = append(f.workers, storable(report.Worker))
	if l.enforcementStatus != attune.EnforcementGranted {
		f.released.add(l)
	}
	if l.status == attune.ExecutionCancelled && l.attempt == 1 && l.startedAt.IsZero() {
		f.unused = append(f.unused, l.ticket.Enforcement)
	}
	if l.enforcementStatus == attune.EnforcementQueued {
		f.requeued = append(f.requeued, attune.EnforcementCreatedMessage{Enforcement: l.ticket.Enforcement})
		if !slices.Contains(f.queues, l.queue) {
			f.queues = append(f.queues, l.queue)
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

// store writes the collected changes. lockExecutions has locked the rows.
func (f *finishedAttempts) store(ctx context.Context, tx pgx.Tx) error {
	if len(f.ids) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(finishSQL, f.ids, f.statuses, f.attemptStatuses, f.reasons, f.errors, f.exitCodes, f.results, f.stdouts,
		f.stderrs, f.truncated, f.workers, f.retryAt)
	if len(f.retried) > 0 {
		batch.Queue(insertAttemptsSQL, f.retried)
	}
	f.released.addTo(batch)
	addRefunds(batch, f.unused)
	addChangedQueues(batch, f.queues...)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return post(ctx, tx, f.requeued...)
}

// releases are executions that give their slots back, and the new status and place of their enforcements, as columns.
type releases struct {
	ids       []attune.ExecutionID
	statuses  []attune.EnforcementStatus
	sequences []int64
	queuedAt  []time.Time
}

func (r *releases) add(l *lockedExecution) {
	r.ids = append(r.ids, l.id)
	r.statuses = append(r.statuses, l.enforcementStatus)
	r.sequences = append(r.sequences, l.ticket.Sequence)
	r.queuedAt = append(r.queuedAt, l.ticket.EnqueuedAt)
}

// releaseSQL updates the enforcements, sets released_at of their grants to the end of the execution or attempt, and adds the
// number of enforcements that it changed to total_completed. Counting only changed rows keeps the counters of a queue
// consistent.
const releaseSQL = `
WITH outcome AS (
	SELECT e.id, e.queue_id, e.grant_number, u.status, u.sequence, u.queued_at, x.finished_at,
		COALESCE(x.finished_at, a.finished_at) AS released_at
	FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[]) AS u (execution_id, status, sequence, queued_at)
		JOIN executions x ON x.id = u.execution_id JOIN enforcements e ON e.id = x.enforcement_id
		LEFT JOIN execution_attempts a ON a.execution_id = x.id AND a.attempt = x.attempt
), released AS (
	UPDATE enforcements e SET status = n.status, sequence = n.sequence, queued_at = n.queued_at, finished_at = n.finished_at,
		grant_number = CASE WHEN n.status = 'queued' THEN NULL ELSE e.grant_number END,
		granted_at = CASE WHEN n.status = 'queued' THEN NULL ELSE e.granted_at END,
		encrypted = CASE WHEN n.finished_at IS NULL THEN e.encrypted END
	FROM outcome n WHERE e.id = n.id AND e.status = 'granted'
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
