package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Events keeps what happened.
type Events struct{ db *DB }

// NewEvents returns the events of a database.
func NewEvents(db *DB) *Events { return &Events{db: db} }

// Record accepts an event: in one transaction it stores the event, lets decide judge the enabled rules that listen to
// its trigger, stores an enforcement per decision, and puts a message into the outbox for each that was created. The id of the
// event comes from the database, and so does its time, unless the event has an earlier one; decide sees both. The rules are
// given in the order of their references, and enforcements are made, and announced, in the order of the decisions.
//
// The queue that a decision names is stored with its enforcement, and made if it does not exist yet. Its place there is
// given out later, by [Enforcements.Admit]: recording an event locks no queue, so that callers do not wait for each other.
//
// An event whose dedup key was recorded before for the same trigger is not stored again: the answer is the earlier
// event with its enforcements, marked as a duplicate, and decide is not called. No rule listens to
// [attune.ManualTrigger]; for it decide gets no candidates. An unknown trigger is [attune.CodeNotFound], and nothing is
// written.
func (e *Events) Record(
	ctx context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
) (attune.Recorded, error) {
	var recorded attune.Recorded
	err := e.db.inTx(ctx, "record event", func(tx pgx.Tx) error {
		triggerID, err := insertEvent(ctx, tx, &event)
		if err != nil {
			return err
		}
		if event.ID == 0 {
			recorded, err = earlier(ctx, tx, triggerID, event.DedupKey)
			return err
		}
		candidates, err := listening(ctx, tx, triggerID, event.Trigger)
		if err != nil {
			return err
		}
		recorded.Event = event
		recorded.Enforcements, err = enforce(ctx, tx, event, decide(event, candidates))
		return err
	})
	return recorded, err
}

const insertEventSQL = `
WITH source AS (
	SELECT id FROM triggers WHERE ref = $1 AND declared
), inserted AS (
	INSERT INTO events (trigger_id, payload, source, dedup_key, principal, auth_method, on_behalf_of, note, received_at)
	SELECT id, $2::json, $3, NULLIF($4, ''), $5, $6, $7, $8, LEAST($9, clock_timestamp()) FROM source
	ON CONFLICT (trigger_id, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING
	RETURNING id, received_at
)
SELECT s.id, i.id, i.received_at FROM source s LEFT JOIN inserted i ON true`

// insertEvent stores the event and fills in its id and time. The id stays 0 if it is a duplicate.
func insertEvent(ctx context.Context, tx pgx.Tx, event *attune.Event) (attune.TriggerID, error) {
	var trigger attune.TriggerID
	var id *attune.EventID
	var receivedAt *time.Time
	author := authorValuesOf(event.Author)
	err := tx.QueryRow(ctx, insertEventSQL, event.Trigger, event.Payload, event.Source, event.DedupKey,
		author.principal, author.method, author.onBehalfOf, author.note, orNullTime(event.ReceivedAt)).
		Scan(&trigger, &id, &receivedAt)
	event.ID = 0
	if id != nil && receivedAt != nil {
		event.ID, event.ReceivedAt = *id, *receivedAt
	}
	return trigger, found(err, "trigger %q does not exist", event.Trigger)
}

const eventSelect = `
SELECT ev.id, t.ref, ev.payload, ev.source, COALESCE(ev.dedup_key, ''), ` + authorColumns + `, ev.received_at
FROM events ev JOIN triggers t ON t.id = ev.trigger_id`

const duplicateEventSQL = eventSelect + ` WHERE ev.trigger_id = $1 AND ev.dedup_key = $2`

const enforcementsOfEventSQL = enforcementSelect + ` WHERE e.event_id = $1 ORDER BY e.id`

// earlier returns the event that was recorded under a dedup key, with its enforcements as they stand now.
func earlier(ctx context.Context, tx pgx.Tx, trigger attune.TriggerID, key string) (attune.Recorded, error) {
	event, err := one(ctx, tx, scanEvent, duplicateEventSQL, trigger, key)
	if err != nil {
		return attune.Recorded{}, err
	}
	enforcements, err := collect(ctx, tx, scanEnforcement, enforcementsOfEventSQL, event.ID)
	return attune.Recorded{Event: event, Enforcements: enforcements, Duplicate: true}, err
}

const listeningSQL = `
SELECT r.id, r.ref, r.description, r.criteria, r.parameters,
	a.id, a.ref, a.description, a.enabled, a.command, a.env, a.schema, a.timeout_ms, a.pool
FROM rules r JOIN actions a ON a.id = r.action_id
WHERE r.trigger_id = $1 AND r.enabled ORDER BY r.ref`

// listening returns the enabled rules of a trigger with their actions, in the order of the rules' references. An action
// that is disabled is among them: that its enforcement is rejected is worth recording.
func listening(ctx context.Context, tx pgx.Tx, id attune.TriggerID, trigger attune.Ref) ([]attune.Candidate, error) {
	if trigger == attune.ManualTrigger {
		return nil, nil
	}
	return collect(ctx, tx, func(row pgx.CollectableRow) (attune.Candidate, error) {
		c := attune.Candidate{Rule: attune.Rule{Enabled: true, Trigger: trigger}}
		var timeoutMS int64
		err := row.Scan(&c.Rule.ID, &c.Rule.Ref, &c.Rule.Description, &c.Rule.Criteria, &c.Rule.Parameters,
			&c.Action.ID, &c.Action.Ref, &c.Action.Description, &c.Action.Enabled, &c.Action.Command, &c.Action.Env,
			&c.Action.Schema, &timeoutMS, &c.Action.Pool)
		c.Rule.Action = c.Action.Ref
		c.Action.Timeout = time.Duration(timeoutMS) * time.Millisecond
		return c, err
	}, listeningSQL, id)
}

// insertEnforcementsSQL finds the queues that a statement before it has made, or another transaction by then. It reads the clock
// once: an enforcement that is rejected from the start ends when it begins.
const insertEnforcementsSQL = `
WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at)
INSERT INTO enforcements (event_id, rule_id, action_id, parameters, status, reason, detail, queue_id, created_at, finished_at)
SELECT $1, NULLIF(u.rule_id, 0), u.action_id, u.parameters::json, u.status, u.reason, u.detail, q.id, n.at,
	CASE WHEN u.status = 'rejected' THEN n.at END
FROM now n, unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
	WITH ORDINALITY AS u (rule_id, action_id, parameters, status, reason, detail, queue, position)
	LEFT JOIN queues q ON q.key = u.queue
ORDER BY u.position`

// enforce stores one enforcement per decision, in the queue that was chosen, and announces those that were created.
func enforce(ctx context.Context, tx pgx.Tx, event attune.Event, decisions []attune.Decision) ([]attune.Enforcement, error) {
	if len(decisions) == 0 {
		return []attune.Enforcement{}, nil
	}
	var enforcements []attune.Enforcement
	batch := new(pgx.Batch)
	if err := addEnforcements(batch, event.ID, decisions); err != nil {
		return nil, err
	}
	batch.Queue(enforcementsOfEventSQL, event.ID).Query(func(rows pgx.Rows) (err error) {
		enforcements, err = pgx.CollectRows(rows, scanEnforcement)
		return err
	})
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	var messages []attune.Message
	for _, enforcement := range enforcements {
		if enforcement.Status == attune.EnforcementCreated {
			messages = append(messages, attune.EnforcementCreatedMessage{Enforcement: enforcement.ID})
		}
	}
	return enforcements, post(ctx, tx, messages...)
}

// addEnforcements makes the queues of the decisions, where they do not exist yet, and one enforcement per decision.
func addEnforcements(batch *pgx.Batch, event attune.EventID, decisions []attune.Decision) error {
	n := len(decisions)
	rules, actions, parameters := make([]attune.RuleID, n), make([]attune.ActionID, n), make([]*string, n)
	statuses, reasons, details := make([]attune.EnforcementStatus, n), make([]attune.Reason, n), make([]string, n)
	queues := make([]attune.QueueKey, n)
	for i, d := range decisions {
		if err := checkDecision(d); err != nil {
			return err
		}
		rules[i], actions[i], parameters[i] = d.RuleID, d.ActionID, orNull(d.Parameters)
		statuses[i], reasons[i], details[i], queues[i] = d.Status, d.Reason, storable(d.Detail), d.Queue
	}
	chosen := slices.DeleteFunc(slices.Clone(queues), func(key attune.QueueKey) bool { return key == "" })
	slices.Sort(chosen)
	addQueues(batch, slices.Compact(chosen))
	batch.Queue(insertEnforcementsSQL, event, rules, actions, parameters, statuses, reasons, details, queues)
	return nil
}

// checkDecision reports a decision that the caller must not make.
func checkDecision(d attune.Decision) error {
	switch {
	case d.Status != attune.EnforcementCreated && d.Status != attune.EnforcementRejected:
		return attune.Errorf(attune.CodeInternal, "a decision is %q or %q, not %q",
			attune.EnforcementCreated, attune.EnforcementRejected, d.Status)
	case d.Status == attune.EnforcementCreated && d.Queue == "":
		return attune.Errorf(attune.CodeInternal, "a decision to run action %d names no queue", d.ActionID)
	case d.Lane != "":
		return attune.Errorf(attune.CodeInternal, "a decision names the lane %q: queues have no lanes", d.Lane)
	default:
		return nil
	}
}

const eventSQL = eventSelect + ` WHERE ev.id = $1`

// Get returns an event, or [attune.CodeNotFound].
func (e *Events) Get(ctx context.Context, id attune.EventID) (attune.Event, error) {
	event, err := one(ctx, e.db.pool, scanEvent, eventSQL, id)
	return event, wrap("read event", found(err, "event %d does not exist", id))
}

const listEventsSQL = eventSelect + `
WHERE ($1::bigint = 0 OR ev.id < $1)
	AND ($3::text = '' OR ev.trigger_id = (SELECT id FROM triggers WHERE ref = $3))
	AND ($4::text = '' OR ev.source = $4)
ORDER BY ev.id DESC LIMIT $2::bigint`

// List returns a page of events.
func (e *Events) List(ctx context.Context, filter attune.EventFilter, page attune.Page) ([]attune.Event, error) {
	return list(ctx, e.db, "list events", page, scanEvent, listEventsSQL, filter.Trigger, filter.Source)
}

func scanEvent(row pgx.CollectableRow) (attune.Event, error) {
	var e attune.Event
	var author authorValues
	err := row.Scan(&e.ID, &e.Trigger, &e.Payload, &e.Source, &e.DedupKey,
		&author.principal, &author.method, &author.onBehalfOf, &author.note, &e.ReceivedAt)
	e.Author = author.author()
	return e, err
}
