package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// ends are what ends of attempts change: columns of the executions, and then of those enforcements that give their slots
// back.
type ends struct {
	ids                               []attune.ExecutionID
	statuses, attemptStatuses         []attune.ExecutionStatus
	reasons                           []attune.Reason
	errors, stdouts, stderrs, workers []string
	exitCodes                         []*int
	results                           []*string
	truncated                         []bool
	retryAt                           []*time.Time

	retried  []attune.ExecutionID // those with a next attempt to come
	released releases
	requeued []attune.Message // announce those who have gone to the back of the line
	lines    []*line          // in which they did, each once
}

// add takes down what a report has made of h.
func (e *ends) add(h *hold, report attune.ExecutionCompletedMessage) {
	var attemptStatus attune.ExecutionStatus
	if h.status == attune.ExecutionRetrying {
		attemptStatus = report.Status
		e.retried = append(e.retried, h.execution)
	}
	e.ids = append(e.ids, h.execution)
	e.statuses = append(e.statuses, h.status)
	e.attemptStatuses = append(e.attemptStatuses, attemptStatus)
	e.retryAt = append(e.retryAt, orNullTime(h.retryAt))
	e.reasons = append(e.reasons, report.Reason)
	e.errors = append(e.errors, storable(report.Error))
	e.exitCodes = append(e.exitCodes, report.ExitCode)
	e.results = append(e.results, orNull(storableJSON(report.Result)))
	e.stdouts = append(e.stdouts, storable(report.Stdout))
	e.stderrs = append(e.stderrs, storable(report.Stderr))
	e.truncated = append(e.truncated, report.Truncated)
	e.workers = append(e.workers, storable(report.Worker))
	if h.enforcement != attune.EnforcementGranted {
		e.released.add(h)
	}
	if h.enforcement == attune.EnforcementQueued {
		e.requeued = append(e.requeued, attune.EnforcementCreatedMessage{Enforcement: h.ticket.Enforcement})
		if !slices.Contains(e.lines, h.line) {
			e.lines = append(e.lines, h.line)
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

// store writes the ends of executions that lockHolds has locked.
func (e *ends) store(ctx context.Context, tx pgx.Tx) error {
	if len(e.ids) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(finishSQL, e.ids, e.statuses, e.attemptStatuses, e.reasons, e.errors, e.exitCodes, e.results, e.stdouts,
		e.stderrs, e.truncated, e.workers, e.retryAt)
	if len(e.retried) > 0 {
		batch.Queue(insertAttemptsSQL, e.retried)
	}
	e.released.queue(batch)
	addLines(batch, e.lines)
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

func (r *releases) add(h *hold) {
	r.ids = append(r.ids, h.execution)
	r.statuses = append(r.statuses, h.enforcement)
	r.sequences = append(r.sequences, h.ticket.Sequence)
	r.queuedAt = append(r.queuedAt, h.ticket.EnqueuedAt)
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

func (r *releases) queue(batch *pgx.Batch) {
	if len(r.ids) > 0 {
		batch.Queue(releaseSQL, r.ids, r.statuses, r.sequences, r.queuedAt)
	}
}
