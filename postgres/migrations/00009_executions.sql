-- Executions, their attempts and their manual changes.

-- +goose Up
CREATE TABLE executions (
    id                  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    enforcement_id      bigint NOT NULL REFERENCES enforcements,
    action_id           bigint NOT NULL REFERENCES actions, -- the enforcement's, for lists
    queue_id            bigint NOT NULL,                    -- the enforcement's, for lists and locks
    attempt             integer NOT NULL CHECK (attempt > 0),
    status              text NOT NULL CHECK (status IN
                            ('requested', 'running', 'retrying', 'succeeded', 'failed', 'timed_out', 'cancelled', 'abandoned')),
    attempt_status      text NOT NULL DEFAULT '' CHECK (attempt_status IN ('', 'failed', 'timed_out', 'abandoned')),
    reason              text NOT NULL DEFAULT '',
    error               text NOT NULL DEFAULT '',
    pool                text NOT NULL,   -- pool, timeout and digest are copied from the action at the time of the request:
    timeout_ms          bigint NOT NULL, -- every copy of the request is the same, even if the pack has changed
    action_digest       text NOT NULL,
    worker              text NOT NULL DEFAULT '',
    claim_key           bytea,                     -- the public key of the worker that claimed the attempt; NULL before the claim
    claim_serial        bigint NOT NULL DEFAULT 0, -- the highest serial of the claims and renewals of the attempt
    exit_code           bigint,
    result              json,
    stdout              text NOT NULL DEFAULT '',
    stderr              text NOT NULL DEFAULT '',
    truncated           boolean NOT NULL DEFAULT false,
    requested_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    resent_at           timestamptz, -- when the request of the attempt was last published again because it was lost
    started_at          timestamptz,
    lease_until         timestamptz, -- the end of a running attempt's lease: after it the worker counts as lost
    retry_at            timestamptz, -- the earliest start of the next attempt, if the execution holds its slot for it
    cancel_requested_at timestamptz,
    finished_at         timestamptz,
    CONSTRAINT executions_enforcement UNIQUE (enforcement_id),
    CONSTRAINT executions_running CHECK (status <> 'running'
        OR (worker <> '' AND claim_key IS NOT NULL AND started_at IS NOT NULL)),
    CONSTRAINT executions_lease CHECK ((status = 'running') = (lease_until IS NOT NULL)),
    CONSTRAINT executions_retrying CHECK ((status = 'retrying') = (attempt_status <> '')),
    CONSTRAINT executions_retry_at CHECK (status = 'retrying' OR retry_at IS NULL),
    CONSTRAINT executions_retry_wanted CHECK (status <> 'retrying' OR cancel_requested_at IS NULL),
    CONSTRAINT executions_times CHECK (requested_at <= started_at AND started_at <= cancel_requested_at
        AND cancel_requested_at <= finished_at AND started_at <= finished_at AND requested_at <= finished_at),
    CONSTRAINT executions_end CHECK
        ((status IN ('succeeded', 'failed', 'timed_out', 'cancelled', 'abandoned')) = (finished_at IS NOT NULL))
);

CREATE INDEX executions_of_action ON executions (action_id, id);
CREATE INDEX executions_of_queue ON executions (queue_id, id);
CREATE INDEX executions_of_worker ON executions (worker, id) WHERE worker <> '';
-- Every status except the usual end.
CREATE INDEX executions_unusual ON executions (status, id) WHERE status <> 'succeeded';
-- Expired leases. Only running executions are in this index, so it stays small.
CREATE INDEX executions_leased ON executions (lease_until) WHERE lease_until IS NOT NULL;

-- A journal, kept forever: the results of attempts that were to be retried.
CREATE TABLE execution_attempts (
    execution_id bigint NOT NULL REFERENCES executions,
    attempt      integer NOT NULL CHECK (attempt > 0),
    status       text NOT NULL CHECK (status IN ('failed', 'timed_out', 'abandoned')),
    reason       text NOT NULL,
    error        text NOT NULL,
    exit_code    bigint,
    worker       text NOT NULL,
    started_at   timestamptz, -- NULL: no worker claimed the attempt
    finished_at  timestamptz NOT NULL,
    PRIMARY KEY (execution_id, attempt),
    CONSTRAINT execution_attempts_times CHECK (started_at <= finished_at)
);

-- A journal, kept forever: manual changes of executions.
CREATE TABLE execution_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id bigint NOT NULL REFERENCES executions,
    attempt      integer NOT NULL,
    at           timestamptz NOT NULL,
    principal    text NOT NULL CHECK (principal <> ''),
    auth_method  text NOT NULL CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of text NOT NULL,
    note         text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('cancel', 'retry', 'give_up')),
    "from"       text NOT NULL,
    "to"         text NOT NULL,
    CONSTRAINT execution_changes_change CHECK ("from" <> "to")
);
CREATE INDEX execution_changes_of ON execution_changes (execution_id, id);
