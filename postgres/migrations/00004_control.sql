-- What people do to queues by hand, and what queues have granted. Both are kept for ever: they are how a queue accounts
-- for itself afterwards.

-- +goose Up
ALTER TABLE queues
    ADD COLUMN mode           text NOT NULL DEFAULT 'open' CHECK (mode IN ('open', 'paused', 'draining')),
    ADD COLUMN override_limit integer CHECK (override_limit >= 0), -- NULL: the policy's limit is in force
    ADD COLUMN override_until timestamptz,                         -- NULL: until it is cleared
    ADD COLUMN last_change    bigint NOT NULL DEFAULT 0,           -- the change by hand that mode and override come from
    ADD COLUMN freed_at       timestamptz, -- when something last happened that can let the next one run, besides arrivals
    ADD CONSTRAINT queues_override CHECK (override_limit IS NOT NULL OR override_until IS NULL);

-- enforcement_id refers to nothing: this is a journal, and takes down what the queue says.
CREATE TABLE queue_changes (
    queue_key      text COLLATE "C" NOT NULL REFERENCES queues,
    number         bigint NOT NULL CHECK (number > 0),
    at             timestamptz NOT NULL,
    principal      text NOT NULL CHECK (principal <> ''),
    auth_method    text NOT NULL CHECK (auth_method IN ('token', 'temporal', 'system')),
    on_behalf_of   text NOT NULL,
    note           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('mode', 'limit', 'cancel')),
    "from"         text NOT NULL,
    "to"           text NOT NULL,
    enforcement_id bigint,
    PRIMARY KEY (queue_key, number)
);

-- One row per grant that was acted upon, written together with the execution that it allows. fillfactor leaves room for
-- released_at, which is filled in once. queue_key is the enforcement's: a reference of its own would take a lock on the
-- row of the queue for every grant.
CREATE TABLE grants (
    queue_key         text COLLATE "C" NOT NULL,
    number            bigint NOT NULL CHECK (number > 0),
    sequence          bigint NOT NULL,
    enforcement_id    bigint NOT NULL REFERENCES enforcements,
    attempt           integer NOT NULL CHECK (attempt > 0),
    policy_revision   bigint NOT NULL,  -- revision and limit are what was in force when the queue decided;
    concurrency_limit integer NOT NULL, -- revision 0: not known
    granted_at        timestamptz NOT NULL, -- the queue's clock
    requested_at      timestamptz NOT NULL, -- that of the execution
    released_at       timestamptz,          -- finished_at of the execution; NULL while it holds its slot
    PRIMARY KEY (queue_key, number)
) WITH (fillfactor = 80);

-- Grants from before the log: everything about them is known but the policy.
INSERT INTO grants (queue_key, number, sequence, enforcement_id, attempt, policy_revision, concurrency_limit, granted_at,
    requested_at, released_at)
SELECT e.queue_key, e.grant_number, e.sequence, e.id, x.attempt, 0, 0, e.granted_at, x.requested_at, x.finished_at
FROM enforcements e JOIN executions x ON x.enforcement_id = e.id
WHERE e.grant_number IS NOT NULL ORDER BY e.queue_key, e.grant_number;
