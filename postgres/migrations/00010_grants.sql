-- Grants: a journal, kept for ever, of what queues have granted. With the changes by hand, it is how a queue accounts for
-- itself afterwards.

-- +goose Up

-- One row per grant that was acted upon, written together with the execution that it allows. fillfactor leaves room for
-- released_at, which is filled in once. queue_id is the enforcement's: a reference of its own would take a lock on the
-- row of the queue for every grant.
CREATE TABLE grants (
    queue_id          bigint NOT NULL,
    number            bigint NOT NULL CHECK (number > 0),
    generation        bigint NOT NULL,
    sequence          bigint NOT NULL,
    lane              integer NOT NULL DEFAULT 0 CHECK (lane >= 0),
    enforcement_id    bigint NOT NULL REFERENCES enforcements,
    attempt           integer NOT NULL CHECK (attempt > 0), -- the latest one that was allowed under the grant
    policy_revision   bigint NOT NULL,  -- revision and limit are what was in force when the queue decided
    concurrency_limit integer NOT NULL,
    queued_at         timestamptz NOT NULL, -- of the place that was granted: the enforcement can have another one by now
    granted_at        timestamptz NOT NULL, -- the queue's clock
    requested_at      timestamptz NOT NULL, -- that of the execution
    released_at       timestamptz,          -- when the execution ended, or its attempt if the slot was given up for the
                                            -- next one; NULL while the slot is held
    PRIMARY KEY (queue_id, number),
    CONSTRAINT grants_times CHECK (queued_at <= requested_at AND requested_at <= released_at) -- granted_at is another clock's
) WITH (fillfactor = 80);

-- How fast queues move, and how long slots are held: the newest slots that were given back, and those of a span of time.
CREATE INDEX grants_released ON grants (queue_id, released_at) WHERE released_at IS NOT NULL;
