-- Queues, and what people change about them.

-- +goose Up

-- One row per queue, made when the first enforcement is recorded for it, or when it is first set by hand. The lock of the row serializes whatever changes a
-- counter here. fillfactor leaves room for the next version of the row on the same page: these rows change all the time.
CREATE TABLE queues (
    id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key               text COLLATE "C" NOT NULL UNIQUE,
    action_id         bigint REFERENCES actions, -- the owner; NULL for a queue that actions share
    policy            json NOT NULL, -- in force, every field decided; revision 0: not resolved yet
    policy_revision   bigint NOT NULL GENERATED ALWAYS AS ((policy ->> 'revision')::bigint) STORED,
    concurrency_limit integer NOT NULL GENERATED ALWAYS AS ((policy ->> 'limit')::integer) STORED CHECK (concurrency_limit >= 0),
    generation        bigint NOT NULL DEFAULT 0, -- how often the queue was rebuilt from rows: fences off earlier grants
    mode              text NOT NULL DEFAULT 'open' CHECK (mode IN ('open', 'paused', 'draining')),
    override_limit    integer CHECK (override_limit >= 0), -- NULL: the policy's limit is in force
    override_until    timestamptz,                         -- NULL: until it is cleared
    last_change       bigint NOT NULL DEFAULT 0,           -- the change by hand that mode and override come from
    last_sequence     bigint NOT NULL DEFAULT 0,
    last_queued_at    timestamptz, -- that of last_sequence
    total_completed   bigint NOT NULL DEFAULT 0,
    total_dropped     bigint NOT NULL DEFAULT 0,
    freed_at          timestamptz, -- when something last happened that can let the next ticket run, besides arrivals
    updated_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT queues_override CHECK (override_limit IS NOT NULL OR override_until IS NULL)
) WITH (fillfactor = 40);

CREATE INDEX queues_of_action ON queues (action_id);

-- A journal, kept for ever: what people do to queues by hand. enforcement_id refers to no row, because the journal takes
-- down what the queue says.
CREATE TABLE queue_changes (
    queue_id       bigint NOT NULL REFERENCES queues,
    number         bigint NOT NULL CHECK (number > 0),
    request_id     text NOT NULL CHECK (request_id <> ''), -- of the request that asked for the change
    at             timestamptz NOT NULL,
    principal      text NOT NULL CHECK (principal <> ''),
    auth_method    text NOT NULL CHECK (auth_method IN ('token', 'temporal', 'system')),
    on_behalf_of   text NOT NULL,
    note           text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('mode', 'limit', 'cancel')),
    "from"         text NOT NULL,
    "to"           text NOT NULL,
    enforcement_id bigint,
    PRIMARY KEY (queue_id, number),
    CONSTRAINT queue_changes_request UNIQUE (queue_id, request_id)
);
