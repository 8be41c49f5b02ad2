-- Rates and quotas: what enforcements cost, and what was used.

-- +goose Up

-- Every event reads the documents that set a key, a queue, rates or quotas and cover its actions.
DROP INDEX policies_with_key;
CREATE INDEX policies_at_ingest ON policies (scope, ref)
    WHERE document ->> 'key' IS NOT NULL OR document ->> 'queue' IS NOT NULL OR document -> 'rate' IS NOT NULL OR document -> 'quota' IS NOT NULL;

ALTER TABLE enforcements
    -- What the enforcement costs at each rate and quota, decided when the event is recorded; NULL without any, and after admission.
    ADD COLUMN charges json,
    -- What it has used of quotas; NULL without any, and after it has given the units back.
    ADD COLUMN charged json,
    -- The units of rates that it was charged, for good; NULL without any.
    ADD COLUMN units json,
    ADD COLUMN refusal json, -- the rate, the quota or the bound of its queue that refused it
    ADD CONSTRAINT enforcements_charges CHECK (charges IS NULL OR status = 'created'),
    ADD CONSTRAINT enforcements_charged CHECK (charged IS NULL OR sequence IS NOT NULL),
    ADD CONSTRAINT enforcements_units CHECK (units IS NULL OR sequence IS NOT NULL),
    ADD CONSTRAINT enforcements_refusal CHECK ((refusal IS NOT NULL) = (reason IN (
        'rate_limited', 'quota_exceeded', 'queue_full', 'key_queue_full', 'dropped_oldest', 'busy', 'queue_draining')));

-- The logs of rates, one for each rate and value of its key. A key is named like a lane; it is empty without a key. The lock of the
-- row serializes the admissions that the rate judges. fillfactor leaves room for the next version of the row on the same page.
CREATE TABLE limiters (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope   text NOT NULL CHECK (scope IN ('global', 'pack', 'queue', 'action')),
    ref     text COLLATE "C" NOT NULL,
    name    text COLLATE "C" NOT NULL CHECK (name <> ''),
    key     text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 257),
    last_n  bigint NOT NULL DEFAULT 0,
    last_at timestamptz NOT NULL DEFAULT clock_timestamp(), -- never runs backwards
    CONSTRAINT limiters_gate UNIQUE (scope, ref, name, key)
) WITH (fillfactor = 60);
CREATE INDEX limiters_idle ON limiters (last_at);

-- The units that were admitted, numbered from 1 without gaps. A row has the units of one admission of a batch: those from
-- n - units + 1 to n. It is deleted when no window can contain it.
CREATE TABLE limiter_log (
    id         bigint GENERATED ALWAYS AS IDENTITY UNIQUE, -- for lists of all limiters
    limiter_id bigint NOT NULL REFERENCES limiters,
    n          bigint NOT NULL,
    units      bigint NOT NULL CHECK (units BETWEEN 1 AND n),
    at         timestamptz NOT NULL,
    rate_limit bigint NOT NULL, -- the rate in force
    window_ms  bigint NOT NULL,
    PRIMARY KEY (limiter_id, n)
);
CREATE INDEX limiter_log_at ON limiter_log (limiter_id, at, n);

-- The counts of quotas, one for each quota, value of its key, and period.
CREATE TABLE quota_usage (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope      text NOT NULL CHECK (scope IN ('global', 'pack', 'queue', 'action')),
    ref        text COLLATE "C" NOT NULL,
    name       text COLLATE "C" NOT NULL CHECK (name <> ''),
    key        text COLLATE "C" NOT NULL CHECK (octet_length(key) <= 257),
    period     text NOT NULL CHECK (period IN ('hour', 'day', 'week', 'month')),
    timezone   text COLLATE "C" NOT NULL, -- empty means UTC
    starts_at  timestamptz NOT NULL,
    ends_at    timestamptz NOT NULL CHECK (starts_at < ends_at),
    used       bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
    most_limit bigint NOT NULL DEFAULT 0, -- the highest limit in force at a charge
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT quota_usage_limit CHECK (used <= most_limit),
    CONSTRAINT quota_usage_count UNIQUE (scope, ref, name, key, period, timezone, starts_at)
) WITH (fillfactor = 60);
CREATE INDEX quota_usage_ended ON quota_usage (ends_at);

-- A journal, kept forever: the attempts that a queue with rates of starts let start. at is by the queue's clock.
CREATE TABLE starts (
    id        bigint GENERATED ALWAYS AS IDENTITY,
    queue_id  bigint NOT NULL,
    number    bigint NOT NULL, -- of the grant
    attempt   integer NOT NULL CHECK (attempt > 0),
    action_id bigint NOT NULL,
    at        timestamptz NOT NULL,
    PRIMARY KEY (queue_id, number, attempt)
);
CREATE INDEX starts_of_action ON starts (queue_id, action_id, at);
CREATE INDEX starts_of_queue ON starts (queue_id, at);
CREATE INDEX starts_listed ON starts (queue_id, id);
