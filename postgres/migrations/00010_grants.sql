-- Grants: a journal, kept forever. Together with the manual changes, it proves afterwards that a queue kept its promises.

-- +goose Up

-- One row per grant that was acted upon, written in the same statement as its execution. fillfactor leaves room for
-- released_at, which is set once. queue_id is the enforcement's; a foreign key would lock the row of the queue for every grant.
CREATE TABLE grants (
    queue_id          bigint NOT NULL,
    number            bigint NOT NULL CHECK (number > 0),
    generation        bigint NOT NULL,
    sequence          bigint NOT NULL,
    lane              integer NOT NULL DEFAULT 0 CHECK (lane >= 0),
    enforcement_id    bigint NOT NULL REFERENCES enforcements,
    attempt           integer NOT NULL CHECK (attempt > 0), -- the latest attempt under the grant
    policy_revision   bigint NOT NULL,  -- revision and limit in force when the queue decided
    concurrency_limit integer NOT NULL,
    freed             bigint[] NOT NULL, -- sequences of the slots that the queue had seen become free since its previous grant
    changes           bigint NOT NULL CHECK (changes >= 0), -- manual changes that the queue had made before it decided
    queued_at         timestamptz NOT NULL, -- of the granted place; the enforcement can have another place now
    granted_at        timestamptz NOT NULL, -- the queue's clock
    requested_at      timestamptz NOT NULL, -- the execution's
    released_at       timestamptz,          -- when the execution ended, or the attempt that gave its slot back; NULL while
                                            -- the slot is held
    PRIMARY KEY (queue_id, number),
    CONSTRAINT grants_times CHECK (queued_at <= requested_at AND requested_at <= released_at) -- not granted_at: it is the queue's clock
) WITH (fillfactor = 80);

-- The newest releases of a queue, for its throughput and hold times.
CREATE INDEX grants_released ON grants (queue_id, released_at) WHERE released_at IS NOT NULL;
-- For counts per lane.
CREATE INDEX grants_of_lane ON grants (queue_id, lane) WHERE lane > 0;
