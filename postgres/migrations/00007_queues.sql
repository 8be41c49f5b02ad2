-- Queues, their lanes, their policies and their manual changes.

-- +goose Up

-- One row per queue, inserted with its first enforcement or its first manual change, or with the pack that declares a shared queue.
-- The lock of the row serializes all changes of its counters. fillfactor leaves room for the next version of the row on the same page: these rows change often.
CREATE TABLE queues (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key               text COLLATE "C" NOT NULL UNIQUE,
    action_id         bigint REFERENCES actions, -- the owner; NULL for a shared queue
    declared          boolean NOT NULL DEFAULT true, -- false: the pack of the shared queue no longer declares it
    description       text NOT NULL DEFAULT '',      -- of a shared queue
    policy            json NOT NULL, -- the resolved policy, with every field set; revision 0: not resolved yet
    policy_revision   bigint NOT NULL GENERATED ALWAYS AS ((policy ->> 'revision')::bigint) STORED,
    concurrency_limit integer NOT NULL GENERATED ALWAYS AS ((policy ->> 'limit')::integer) STORED CHECK (concurrency_limit >= 0),
    generation        bigint NOT NULL DEFAULT 0, -- how often the queue was rebuilt; grants of earlier generations are void
    mode              text NOT NULL DEFAULT 'open' CHECK (mode IN ('open', 'paused', 'draining')),
    override_limit    integer CHECK (override_limit >= 0), -- NULL: the policy's limit is in force
    override_until    timestamptz,                         -- NULL: until a person clears the override
    last_change       bigint NOT NULL DEFAULT 0,           -- the number of the manual change that set mode and override
    last_sequence     bigint NOT NULL DEFAULT 0,
    last_queued_at    timestamptz, -- queued_at of last_sequence
    last_lane         integer NOT NULL DEFAULT 0, -- the highest number of its lanes
    total_completed   bigint NOT NULL DEFAULT 0,
    total_dropped     bigint NOT NULL DEFAULT 0,
    freed_at          timestamptz, -- the last change, other than an arrival, that can allow a grant
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT queues_override CHECK (override_limit IS NOT NULL OR override_until IS NULL),
    CONSTRAINT queues_declared CHECK (action_id IS NULL OR (declared AND description = ''))
) WITH (fillfactor = 40);

CREATE INDEX queues_of_action ON queues (action_id);

-- The lanes of a queue, numbered from 1 without gaps under the lock of the queue's row, with their first enforcements. The name
-- says how the key of the policy chose the lane. It begins with "=" before the text of the key's value, or is "-" without a
-- value, or is "a" with the id of an action without a key, in a shared queue. Rows are never deleted, because enforcements and grants refer to their numbers.
CREATE TABLE lanes (
    queue_id bigint NOT NULL REFERENCES queues,
    number   integer NOT NULL CHECK (number > 0),
    name     text COLLATE "C" NOT NULL CHECK (name <> '' AND octet_length(name) <= 257),
    override_limit integer CHECK (override_limit >= 0),  -- the manual limit; NULL: the policy's limit is in force
    override_until timestamptz,                          -- NULL: until a person clears the override
    last_change    bigint NOT NULL DEFAULT 0,            -- the number of the manual change that set the override
    CONSTRAINT lanes_override CHECK (override_limit IS NOT NULL OR override_until IS NULL),
    PRIMARY KEY (queue_id, number),
    CONSTRAINT lanes_name UNIQUE (queue_id, name)
);

-- A queue that is rebuilt reads the manual limits of its lanes.
CREATE INDEX lanes_overridden ON lanes (queue_id, number) WHERE override_limit IS NOT NULL;

-- A journal, kept forever: every policy that a queue has obeyed. Together with the grants, which name a revision, it proves
-- afterwards that no grant exceeded a limit.
CREATE TABLE queue_policies (
    queue_id bigint NOT NULL REFERENCES queues,
    revision bigint NOT NULL CHECK (revision > 0),
    policy   json NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (queue_id, revision)
);

-- A journal, kept forever: manual changes of queues. enforcement_id is no foreign key, because the journal stores the queue's
-- decision as it is.
CREATE TABLE queue_changes (
    queue_id       bigint NOT NULL REFERENCES queues,
    number         bigint NOT NULL CHECK (number > 0),
    request_id     text NOT NULL CHECK (request_id <> ''), -- of the request that asked for the change
    at             timestamptz NOT NULL,
    principal      text NOT NULL CHECK (principal <> ''),
    auth_method    text NOT NULL CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of   text NOT NULL,
    note           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('mode', 'limit', 'cancel', 'lane_limit')),
    "from"         text NOT NULL,
    "to"           text NOT NULL,
    enforcement_id bigint,
    lane           integer CHECK (lane > 0), -- of a change of a lane's limit
    PRIMARY KEY (queue_id, number),
    CONSTRAINT queue_changes_request UNIQUE (queue_id, request_id)
);
