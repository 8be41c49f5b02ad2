package postgres

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Events stores events.
type Events struct{ db *DB }

// NewEvents returns the events of a database.
func NewEvents(db *DB) *Events { return &Events{db: db} }

// Record records an event. In one transaction it stores the event, calls decide with the enabled rules of its trigger, stores
// one enforcement per decision, and puts a message into the outbox for each enforcement with status "created". The database
// sets the id of the event unless [Events.ReserveID] did, and its time unless the event has an earlier one; decide sees both.
// The candidates have the order of the rules' references. Enforcements and messages have the order of the decisions.
//
// Record stores the queue, the lane and the charges of a decision with the enforcement, and inserts the queue if it is missing.
// [Enforcements.Admit] assigns the place in the queue and the number of the lane later. So Record locks no queue, and callers do not wait
// for each other.
//
// If the trigger already has an event with the same dedup key, Record stores nothing and does not call decide. It returns the
// earlier event with its enforcements, marked as a duplicate. No rule uses [attune.ManualTrigger], so decide gets no candidates
// for it. An unknown trigger is [attune.CodeNotFound], and nothing is written.
func (e *Events) Record(
	ctx context.Context, event attune.Event, decide attune.DecideFunc,
) (attune.Recorded, error) {
	var recorded attune.Recorded
	err := e.db.inTx(ctx, "record event", func(tx pgx.Tx) error {
		triggerID, inserted, err := insertEvent(ctx, tx, &event)
		if err != nil {
			return err
		}
		if !inserted {
			recorded, err = readDuplicate(ctx, tx, triggerID, event.DedupKey)
			return err
		}
		candidates, err := readCandidates(ctx, tx, triggerID, event.Trigger)
		if err != nil {
			return err
		}
		recorded.Event = event
		recorded.Enforcements, err = createEnforcements(ctx, tx, event, decide(event, candidates))
		return err
	})
	return recorded, err
}

const reserveEventSQL = `SELECT nextval('events_id_seq')`

// ReserveID returns an id for an event that must know its id before [Events.Record]. An id that is not used leaves a gap.
func (e *Events) ReserveID(ctx context.Context) (attune.EventID, error) {
	id, err := one(ctx, e.db.pool, pgx.RowTo[attune.EventID], reserveEventSQL)
	return id, wrap("reserve the id of an event", err)
}

const insertEventSQL = `
WITH trigger AS (
	SELECT id FROM triggers WHERE ref = $1 AND declared
), inserted AS (
	INSERT INTO events (id, trigger_id, payload, source, dedup_key, principal, auth_method, on_behalf_of, note, received_at, encrypted)
	OVERRIDING SYSTEM VALUE
	SELECT COALESCE(NULLIF($10::bigint, 0), nextval('events_id_seq')), id, $2::json, $3, NULLIF($4, ''), $5, $6, $7, $8,
		LEAST($9, clock_timestamp()), NULLIF($11, '') FROM trigger
	ON CONFLICT (trigger_id, dedup_key) WHERE dedup_key IS NOT NULL DO NOTHING
	RETURNING id, received_at
)
SELECT t.id, i.id, i.received_at FROM trigger t LEFT JOIN inserted i ON true`

// insertEvent stores the event and sets its id and time, unless the event is a duplicate. It returns the trigger of the event.
func insertEvent(ctx context.Context, tx pgx.Tx, event *attune.Event) (trigger attune.TriggerID, inserted bool, err error) {
	var id *attune.EventID
	var receivedAt *time.Time
	author := authorValuesOf(event.Author)
	err = tx.QueryRow(ctx, insertEventSQL, event.Trigger, event.Payload, event.Source, event.DedupKey,
		author.principal, author.method, author.onBehalfOf, author.note, orNullTime(event.ReceivedAt),
		event.ID, event.Encrypted).
		Scan(&trigger, &id, &receivedAt)
	if inserted = id != nil && receivedAt != nil; inserted {
		event.ID, event.ReceivedAt = *id, *receivedAt
	}
	return trigger, inserted, orNotFound(err, "trigger %q does not exist", event.Trigger)
}

const eventSelect = `
SELECT ev.id, t.ref, ev.payload, ev.source, COALESCE(ev.dedup_key, ''), ` + authorColumns + `, ev.received_at
FROM events ev JOIN triggers t ON t.id = ev.trigger_id`

const duplicateEventSQL = eventSelect + ` WHERE ev.trigger_id = $1 AND ev.dedup_key = $2`

const enforcementsOfEventSQL = enforcementSelect + ` WHERE e.event_id = $1 ORDER BY e.id`

// readDuplicate returns the event with a dedup key, and the current state of its enforcements.
func readDuplicate(ctx context.Context, tx pgx.Tx, trigger attune.TriggerID, key string) (attune.Recorded, error) {
	event, err := one(ctx, tx, scanEvent, duplicateEventSQL, trigger, key)
	if err != nil {
		return attune.Recorded{}, err
	}
	enforcements, err := collect(ctx, tx, scanEnforcement, enforcementsOfEventSQL, event.ID)
	return attune.Recorded{Event: event, Enforcements: enforcements, Duplicate: true}, err
}

// insertEnforcementsSQL runs after the statement that inserts missing queues. It reads the clock once, so an enforcement that
// is rejected at once has the same time of creation and end.
const insertEnforcementsSQL = `
WITH now AS MATERIALIZED (SELECT clock_timestamp() AS at)
INSERT INTO enforcements (event_id, rule_id, action_id, parameters, status, reason, detail, queue_id, created_at, finished_at, encrypted,
	lane_name, charges)
SELECT $1, NULLIF(u.rule_id, 0), u.action_id, u.parameters::json, u.status, u.reason, u.detail, q.id, n.at,
	CASE WHEN u.status = 'rejected' THEN n.at END, CASE WHEN u.status <> 'rejected' THEN NULLIF(u.encrypted, '') END,
	u.lane_name, u.charges::json
FROM now n, unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[],
	$11::text[]) WITH ORDINALITY
	AS u (rule_id, action_id, parameters, status, reason, detail, queue, encrypted, lane_name, charges, position)
	LEFT JOIN queues q ON q.key = u.queue
ORDER BY u.position`

// createEnforcements stores one enforcement per decision, and posts a message for each one with status "created".
func createEnforcements(
	ctx context.Context, tx pgx.Tx, event attune.Event, decisions []attune.Decision,
) ([]attune.Enforcement, error) {
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

// addEnforcements inserts the missing queues of the decisions, and one enforcement per decision.
func addEnforcements(batch *pgx.Batch, event attune.EventID, decisions []attune.Decision) error {
	n := len(decisions)
	rules, actions, parameters := make([]attune.RuleID, n), make([]attune.ActionID, n), make([]*string, n)
	statuses, reasons, details := make([]attune.EnforcementStatus, n), make([]attune.Reason, n), make([]string, n)
	queues, lanes, encrypted := make([]attune.QueueKey, n), make([]attune.LaneName, n), make([]string, n)
	charges := make([]*string, n)
	for i, d := range decisions {
		err := checkDecision(d)
		if err == nil {
			charges[i], err = encodeCharges(d)
		}
		if err != nil {
			return err
		}
		rules[i], actions[i], parameters[i] = d.RuleID, d.ActionID, orNull(d.Parameters)
		statuses[i], reasons[i], details[i], queues[i] = d.Status, d.Reason, storable(d.Detail), d.Queue
		lanes[i], encrypted[i] = d.Lane, d.Encrypted
	}
	chosen := slices.DeleteFunc(slices.Clone(queues), func(key attune.QueueKey) bool { return key == "" })
	slices.Sort(chosen)
	addNewQueues(batch, slices.Compact(chosen))
	batch.Queue(insertEnforcementsSQL, event, rules, actions, parameters, statuses, reasons, details, queues, encrypted, lanes,
		charges)
	return nil
}

// encodeCharges returns the charges of a created decision as JSON; nil without any.
func encodeCharges(d attune.Decision) (*string, error) {
	if len(d.Charges) == 0 || d.Status != attune.EnforcementCreated {
		return nil, nil
	}
	for _, c := range d.Charges {
		if err := c.Key.Validate(); err != nil || c.Cost < 0 || c.Cost > attune.MaxCost {
			return nil, attune.Errorf(attune.CodeInternal, "a decision about action %d has a wrong charge of %s", d.ActionID, c.GateID)
		}
	}
	document, err := json.Marshal(d.Charges)
	return new(string(document)), err
}

// checkDecision returns an error for a decision that no caller may make.
func checkDecision(d attune.Decision) error {
	switch {
	case d.Status != attune.EnforcementCreated && d.Status != attune.EnforcementRejected:
		return attune.Errorf(attune.CodeInternal, "a decision is %q or %q, not %q",
			attune.EnforcementCreated, attune.EnforcementRejected, d.Status)
	case d.Status == attune.EnforcementCreated && d.Queue == "":
		return attune.Errorf(attune.CodeInternal, "a decision to run action %d names no queue", d.ActionID)
	case d.Lane != "" && d.Queue == "":
		return attune.Errorf(attune.CodeInternal, "a decision about action %d names a lane, but no queue", d.ActionID)
	}
	if err := d.Lane.Validate(); err != nil {
		return attune.Errorf(attune.CodeInternal, "a decision about action %d: %s", d.ActionID, err)
	}
	return nil
}

const eventSQL = eventSelect + ` WHERE ev.id = $1`

// Get returns an event, or [attune.CodeNotFound].
func (e *Events) Get(ctx context.Context, id attune.EventID) (attune.Event, error) {
	event, err := one(ctx, e.db.pool, scanEvent, eventSQL, id)
	return event, wrap("read event", orNotFound(err, "event %d does not exist", id))
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

// authorValues is the author of an event as columns: all NULL without an author.
type authorValues struct {
	principal, onBehalfOf, note *string
	method                      *attune.AuthMethod
}

func authorValuesOf(author *attune.Author) authorValues {
	if author == nil {
		return authorValues{}
	}
	return authorValues{
		principal: &author.Principal.Name, method: &author.Principal.Method, onBehalfOf: &author.OnBehalfOf, note: &author.Note,
	}
}

func (v authorValues) author() *attune.Author {
	if v.principal == nil || v.method == nil || v.onBehalfOf == nil || v.note == nil {
		return nil
	}
	return &attune.Author{
		Principal: attune.Principal{Name: *v.principal, Method: *v.method}, OnBehalfOf: *v.onBehalfOf, Note: *v.note,
	}
}
