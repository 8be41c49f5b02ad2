-- From an event to an execution. A status says which columns are filled, and the constraints hold every writer to it.

-- +goose Up
CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_id  bigint NOT NULL REFERENCES triggers,
    payload     json NOT NULL,
    source      text NOT NULL CHECK (source IN ('api', 'webhook', 'timer', 'manual')),
    dedup_key   text COLLATE "C",
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX events_dedup ON events (trigger_id, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX events_of_trigger ON events (trigger_id, id);

-- One row per queue, made when its first enforcement is accepted. Its lock serializes whatever changes a counter here,
-- and fillfactor leaves room for the next version of the row on the same page: these rows change all the time.
CREATE TABLE queues (
    key               text COLLATE "C" PRIMARY KEY,
    action_id         bigint NOT NULL REFERENCES actions,
    policy_revision   bigint NOT NULL DEFAULT 0, -- 0: not resolved yet
    concurrency_limit integer NOT NULL,
    max_queued        integer NOT NULL,
    overflow          text NOT NULL CHECK (overflow IN ('reject', 'drop_oldest')),
    queue_timeout_ms  bigint NOT NULL,
    last_sequence     bigint NOT NULL DEFAULT 0,
    last_queued_at    timestamptz, -- that of last_sequence
    total_completed   bigint NOT NULL DEFAULT 0,
    total_dropped     bigint NOT NULL DEFAULT 0,
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 40);

CREATE INDEX queues_of_action ON queues (action_id);

CREATE TABLE enforcements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     bigint NOT NULL REFERENCES events,
    rule_id      bigint REFERENCES rules, -- NULL: somebody ran the action directly
    action_id    bigint NOT NULL REFERENCES actions,
    parameters   json,                    -- NULL only when they could not be rendered
    status       text NOT NULL CHECK (status IN
                     ('created', 'queued', 'granted', 'executed', 'rejected', 'cancelled', 'expired')),
    reason       text NOT NULL DEFAULT '',
    detail       text NOT NULL DEFAULT '',
    queue_key    text COLLATE "C" REFERENCES queues,
    sequence     bigint CHECK (sequence > 0),
    grant_number bigint CHECK (grant_number > 0),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    queued_at    timestamptz,
    granted_at   timestamptz,
    finished_at  timestamptz,
    CONSTRAINT enforcements_event_rule UNIQUE NULLS NOT DISTINCT (event_id, rule_id),
    CONSTRAINT enforcements_placed_at_once CHECK (num_nulls(queue_key, sequence, queued_at) IN (0, 3)),
    CONSTRAINT enforcements_granted_at_once CHECK (num_nulls(grant_number, granted_at) IN (0, 2)),
    CONSTRAINT enforcements_place CHECK (CASE
        WHEN status = 'created' THEN sequence IS NULL
        WHEN status IN ('queued', 'granted', 'executed') THEN sequence IS NOT NULL
        ELSE true END),
    CONSTRAINT enforcements_grant CHECK ((status IN ('granted', 'executed')) = (grant_number IS NOT NULL)),
    CONSTRAINT enforcements_end CHECK
        ((status IN ('executed', 'rejected', 'cancelled', 'expired')) = (finished_at IS NOT NULL)),
    CONSTRAINT enforcements_reason CHECK ((status IN ('rejected', 'cancelled', 'expired')) = (reason <> '')),
    CONSTRAINT enforcements_parameters CHECK (parameters IS NOT NULL OR status = 'rejected')
);

-- Order: one place and one grant number each. The first index also lists a queue.
CREATE UNIQUE INDEX enforcements_sequence ON enforcements (queue_key, sequence) WHERE queue_key IS NOT NULL;
CREATE UNIQUE INDEX enforcements_grant_number ON enforcements (queue_key, grant_number) WHERE grant_number IS NOT NULL;

-- Who waits and who holds a slot: small however long the history is, and enough to count without touching the table.
CREATE INDEX enforcements_waiting ON enforcements (queue_key, sequence) WHERE status = 'queued';
CREATE INDEX enforcements_holding ON enforcements (queue_key, grant_number) WHERE status = 'granted';

-- Lists, newest first. What is unusual (not yet accepted, or ended without running) has an index of its own; everything
-- else is most of the table, where walking the primary key backwards is the fastest way.
CREATE INDEX enforcements_of_action ON enforcements (action_id, id);
CREATE INDEX enforcements_of_rule ON enforcements (rule_id, id) WHERE rule_id IS NOT NULL;
CREATE INDEX enforcements_unusual ON enforcements (status, id)
    WHERE status IN ('created', 'rejected', 'cancelled', 'expired');
CREATE INDEX enforcements_of_reason ON enforcements (reason, id) WHERE reason <> '';

CREATE TABLE executions (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enforcement_id      bigint NOT NULL REFERENCES enforcements,
    action_id           bigint NOT NULL REFERENCES actions, -- the enforcement's, for lists
    queue_key           text COLLATE "C" NOT NULL,          -- the enforcement's, for lists and locks
    attempt             integer NOT NULL CHECK (attempt > 0),
    status              text NOT NULL CHECK (status IN
                            ('requested', 'running', 'retrying', 'succeeded', 'failed', 'timed_out', 'cancelled', 'abandoned')),
    reason              text NOT NULL DEFAULT '',
    error               text NOT NULL DEFAULT '',
    pool                text NOT NULL,   -- pool, timeout, command and env are the action's at the time of the request:
    timeout_ms          bigint NOT NULL, -- every copy of the request says the same, also when the pack has changed
    command             text[] NOT NULL,
    env                 text[] NOT NULL,
    worker              text NOT NULL DEFAULT '',
    exit_code           bigint,
    result              json,
    stdout              text NOT NULL DEFAULT '',
    stderr              text NOT NULL DEFAULT '',
    truncated           boolean NOT NULL DEFAULT false,
    requested_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at          timestamptz,
    cancel_requested_at timestamptz,
    finished_at         timestamptz,
    CONSTRAINT executions_enforcement UNIQUE (enforcement_id),
    CONSTRAINT executions_running CHECK (status <> 'running' OR (worker <> '' AND started_at IS NOT NULL)),
    CONSTRAINT executions_end CHECK
        ((status IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'abandoned')) = (finished_at IS NOT NULL))
);

CREATE INDEX executions_of_action ON executions (action_id, id);
CREATE INDEX executions_of_queue ON executions (queue_key, id);
CREATE INDEX executions_of_worker ON executions (worker, id) WHERE worker <> '';
-- Every status but the usual end.
CREATE INDEX executions_unusual ON executions (status, id) WHERE status <> 'succeeded';
