package postgres

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Finish records how attempts ended, in one transaction, and says for each report, in the order given, what it changed.
//
// The first report about the current attempt of an execution that has not ended finishes it, its enforcement becomes
// executed, the queue counts one more completion, and the grant is released at the time of the execution's end. Every
// further report about that attempt is "repeated", one about another attempt is "stale", and one about an execution that
// does not exist is "unknown"; none of them changes anything, so a batch may hold the same report any number of times.
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
		var ends endColumns
		for i, report := range reports {
			completions[i] = holds[report.Execution].finish(report)
			if completions[i].Effect == attune.CompletionFinished {
				ends.add(report)
			}
		}
		return storeEnds(ctx, tx, ends)
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

// hold is an execution that is locked, with the ticket whose slot it holds.
type hold struct {
	execution   attune.ExecutionID
	status      attune.ExecutionStatus
	attempt     int
	actionID    attune.ActionID
	queue       attune.QueueKey
	ticket      attune.Ticket
	requestedAt time.Time
	overdue     bool // its worker was asked to stop long ago
}

// finish decides what a report changes, and remembers it for the next report about the same execution.
func (h *hold) finish(report attune.ExecutionCompletedMessage) attune.Completion {
	if h == nil {
		return attune.Completion{Execution: report.Execution, Effect: attune.CompletionUnknown}
	}
	completion := attune.Completion{Execution: h.execution, Queue: h.queue, Ticket: h.ticket}
	switch {
	case report.Attempt != h.attempt:
		completion.Effect = attune.CompletionStale
	case h.status == attune.ExecutionRequested || h.status == attune.ExecutionRunning:
		h.status, completion.Effect = report.Status, attune.CompletionFinished
	default:
		completion.Effect = attune.CompletionRepeated
	}
	return completion
}

const lockQueuesOfExecutionsSQL = `
SELECT key FROM queues WHERE key IN (SELECT queue_key FROM executions WHERE id = ANY ($1::bigint[]))
ORDER BY key FOR NO KEY UPDATE`

const holdsSQL = `
SELECT x.id, x.status, x.attempt, x.action_id, x.queue_key, x.requested_at,
	COALESCE(x.cancel_requested_at < clock_timestamp() - interval '1 minute', false), e.id, e.sequence, e.queued_at
FROM executions x JOIN enforcements e ON e.id = x.enforcement_id
WHERE x.id = ANY ($1::bigint[]) ORDER BY x.id FOR NO KEY UPDATE OF x`

// lockHolds locks the queues of the executions, and then the executions.
func lockHolds(ctx context.Context, tx pgx.Tx, ids []attune.ExecutionID) (map[attune.ExecutionID]*hold, error) {
	holds := make(map[attune.ExecutionID]*hold, len(ids))
	batch := new(pgx.Batch)
	batch.Queue(lockQueuesOfExecutionsSQL, ids)
	batch.Queue(holdsSQL, ids).Query(func(rows pgx.Rows) error {
		var h hold
		_, err := pgx.ForEachRow(rows, []any{
			&h.execution, &h.status, &h.attempt, &h.actionID, &h.queue, &h.requestedAt, &h.overdue,
			&h.ticket.Enforcement, &h.ticket.Sequence, &h.ticket.EnqueuedAt,
		}, func() error {
			holds[h.execution] = new(h)
			return nil
		})
		return err
	})
	return holds, tx.SendBatch(ctx, batch).Close()
}

// endColumns are the reports that change something, as columns.
type endColumns struct {
	ids                               []attune.ExecutionID
	statuses                          []attune.ExecutionStatus
	reasons                           []attune.Reason
	errors, stdouts, stderrs, workers []string
	exitCodes                         []*int
	results                           []*string
	truncated                         []bool
}

func (c *endColumns) add(report attune.ExecutionCompletedMessage) {
	c.ids = append(c.ids, report.Execution)
	c.statuses = append(c.statuses, report.Status)
	c.reasons = append(c.reasons, report.Reason)
	c.errors = append(c.errors, storable(report.Error))
	c.exitCodes = append(c.exitCodes, report.ExitCode)
	c.results = append(c.results, orNull(storableJSON(report.Result)))
	c.stdouts = append(c.stdouts, storable(report.Stdout))
	c.stderrs = append(c.stderrs, storable(report.Stderr))
	c.truncated = append(c.truncated, report.Truncated)
	c.workers = append(c.workers, storable(report.Worker))
}

const finishSQL = `
UPDATE executions x SET status = u.status, reason = u.reason, error = u.error, exit_code = u.exit_code,
	result = u.result::json, stdout = u.stdout, stderr = u.stderr, truncated = u.truncated,
	worker = CASE WHEN x.worker = '' THEN u.worker ELSE x.worker END, finished_at = clock_timestamp()
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[],
	$9::boolean[], $10::text[])
	AS u (id, status, reason, error, exit_code, result, stdout, stderr, truncated, worker)
WHERE x.id = u.id`

// releaseSQL counts the enforcements that it changed, so that the counters of a queue always add up, and closes their
// entries in the log of grants.
const releaseSQL = `
WITH released AS (
	UPDATE enforcements e SET status = 'executed', finished_at = x.finished_at
	FROM executions x
	WHERE x.id = ANY ($1::bigint[]) AND e.id = x.enforcement_id AND e.status = 'granted'
	RETURNING e.queue_key, e.grant_number, e.finished_at
), logged AS (
	UPDATE grants g SET released_at = r.finished_at FROM released r
	WHERE g.queue_key = r.queue_key AND g.number = r.grant_number
)
UPDATE queues q SET total_completed = q.total_completed + r.count, freed_at = clock_timestamp(),
	updated_at = clock_timestamp()
FROM (SELECT queue_key, count(*) AS count FROM released GROUP BY queue_key) r WHERE q.key = r.queue_key`

// storeEnds writes the ends of executions that lockHolds has locked.
func storeEnds(ctx context.Context, tx pgx.Tx, ends endColumns) error {
	if len(ends.ids) == 0 {
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(finishSQL, ends.ids, ends.statuses, ends.reasons, ends.errors, ends.exitCodes, ends.results,
		ends.stdouts, ends.stderrs, ends.truncated, ends.workers)
	batch.Queue(releaseSQL, ends.ids)
	return tx.SendBatch(ctx, batch).Close()
}
