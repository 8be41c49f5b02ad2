-- Enforcements, from the match of a rule to the end. The status determines which columns are set; the constraints enforce that.

-- +goose Up
CREATE TABLE enforcements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     bigint NOT NULL REFERENCES events,
    rule_id      bigint REFERENCES rules, -- NULL: a person ran the action directly
    action_id    bigint NOT NULL REFERENCES actions,
    parameters   json,                    -- NULL only if the templates failed; secret parameters are masked
    encrypted       text CHECK (encrypted LIKE 'v1.%'), -- the secret parameters, encrypted; NULL without any, and after the end
    status       text NOT NULL,
    reason       text NOT NULL DEFAULT '',
    detail       text NOT NULL DEFAULT '',
    -- The queue is chosen when the event is recorded, and never changes. NULL: the enforcement was rejected before that. A
    -- foreign key would lock the row of the queue for every event, and is not needed: rows of queues are never deleted.
    queue_id     bigint,
    -- The lane of the queue is chosen with the queue, by its name; empty: without lanes. The number follows with the first place.
    lane_name    text COLLATE "C" NOT NULL DEFAULT '' CHECK (octet_length(lane_name) <= 257),
    lane         integer NOT NULL DEFAULT 0 CHECK (lane >= 0),
    -- The place and the grant of the next attempt, or of the last attempt. The log of grants has those of earlier attempts.
    sequence     bigint CHECK (sequence > 0),
    grant_number bigint CHECK (grant_number > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    queued_at    timestamptz,
    granted_at   timestamptz,
    finished_at  timestamptz,
    CONSTRAINT enforcements_status CHECK (status IN
        ('created', 'queued', 'granted', 'parked', 'executed', 'rejected', 'cancelled', 'expired')),
    CONSTRAINT enforcements_event_rule UNIQUE NULLS NOT DISTINCT (event_id, rule_id),
    CONSTRAINT enforcements_queue CHECK (queue_id IS NOT NULL OR (status = 'rejected' AND sequence IS NULL)),
    CONSTRAINT enforcements_lane_name CHECK (queue_id IS NOT NULL OR lane_name = ''),
    CONSTRAINT enforcements_lane_number CHECK ((lane > 0) = (lane_name <> '' AND sequence IS NOT NULL)),
    CONSTRAINT enforcements_placed_at_once CHECK (num_nulls(sequence, queued_at) IN (0, 2)),
    CONSTRAINT enforcements_granted_at_once CHECK (num_nulls(grant_number, granted_at) IN (0, 2)),
    CONSTRAINT enforcements_place CHECK (CASE
        WHEN status = 'created' THEN sequence IS NULL
        WHEN status IN ('queued', 'granted', 'parked', 'executed') THEN sequence IS NOT NULL
        ELSE true END),
    -- A parked enforcement keeps its grant, but not its slot.
    CONSTRAINT enforcements_grant CHECK ((status IN ('granted', 'parked', 'executed')) = (grant_number IS NOT NULL)),
    CONSTRAINT enforcements_end CHECK
        ((status IN ('executed', 'rejected', 'cancelled', 'expired')) = (finished_at IS NOT NULL)),
    CONSTRAINT enforcements_reason CHECK ((status IN ('rejected', 'cancelled', 'expired')) = (reason <> '')),
    CONSTRAINT enforcements_times CHECK (created_at <= queued_at AND queued_at <= granted_at AND granted_at <= finished_at
        AND queued_at <= finished_at AND created_at <= finished_at),
    CONSTRAINT enforcements_encrypted_until_end CHECK (encrypted IS NULL OR finished_at IS NULL),
    CONSTRAINT enforcements_parameters CHECK (parameters IS NOT NULL OR status = 'rejected')
);

-- Order: sequences and grant numbers are unique per queue. The first index also serves lists of a queue, including enforcements
-- without a sequence.
CREATE UNIQUE INDEX enforcements_sequence ON enforcements (queue_id, sequence) WHERE queue_id IS NOT NULL;
CREATE UNIQUE INDEX enforcements_grant_number ON enforcements (queue_id, grant_number) WHERE grant_number IS NOT NULL;

-- Waiters and holders of a queue. These indexes stay small whatever the length of the history, and counting needs no table
-- rows.
CREATE INDEX enforcements_waiting ON enforcements (queue_id, sequence) WHERE status = 'queued';
CREATE INDEX enforcements_holding ON enforcements (queue_id, grant_number) WHERE status = 'granted';

-- Lists, newest first. Rare statuses (not yet accepted, parked, or ended without a run) have a partial index. The other
-- statuses make up most of the table; for them a backward scan of the primary key is fastest.
CREATE INDEX enforcements_of_action ON enforcements (action_id, id);
CREATE INDEX enforcements_of_rule ON enforcements (rule_id, id) WHERE rule_id IS NOT NULL;
CREATE INDEX enforcements_unusual ON enforcements (status, id)
    WHERE status IN ('created', 'parked', 'rejected', 'cancelled', 'expired');
CREATE INDEX enforcements_of_reason ON enforcements (reason, id) WHERE reason <> '';
CREATE INDEX enforcements_encrypted ON enforcements (id) WHERE encrypted IS NOT NULL;
