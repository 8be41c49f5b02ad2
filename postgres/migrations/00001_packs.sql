-- What packs declare. Rows are never deleted, because events and enforcements refer to them: what a pack no longer
-- declares is marked, and comes back under its old id when it is declared again.
--
-- JSON is kept in columns of type json, not jsonb: json keeps the text as it came (order of keys, long numbers, \u0000),
-- while jsonb would refuse some valid documents and change others.

-- +goose Up
CREATE TABLE packs (
    name         text COLLATE "C" PRIMARY KEY,
    version      text NOT NULL,
    description  text NOT NULL,
    digest       text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE triggers (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref                  text COLLATE "C" NOT NULL UNIQUE,
    pack                 text COLLATE "C" NOT NULL REFERENCES packs,
    description          text NOT NULL,
    schema               json,
    webhook_key          text COLLATE "C",
    webhook_secret_env   text NOT NULL DEFAULT '',
    webhook_dedup_header text NOT NULL DEFAULT '',
    declared             boolean NOT NULL DEFAULT true,
    -- Deferred, so that one installation can move a key from one trigger to another.
    CONSTRAINT triggers_webhook_key UNIQUE (webhook_key) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT triggers_undeclared_have_no_webhook CHECK (declared OR webhook_key IS NULL)
);

CREATE TABLE actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref         text COLLATE "C" NOT NULL UNIQUE,
    pack        text COLLATE "C" NOT NULL REFERENCES packs,
    description text NOT NULL,
    enabled     boolean NOT NULL DEFAULT true,
    command     text[] NOT NULL,
    env         text[] NOT NULL,
    schema      json,
    timeout_ms  bigint NOT NULL CHECK (timeout_ms > 0),
    pool        text NOT NULL
);

CREATE TABLE rules (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref         text COLLATE "C" NOT NULL UNIQUE,
    pack        text COLLATE "C" NOT NULL REFERENCES packs,
    description text NOT NULL,
    enabled     boolean NOT NULL,
    declared    boolean NOT NULL DEFAULT true,
    trigger_id  bigint NOT NULL REFERENCES triggers,
    action_id   bigint NOT NULL REFERENCES actions,
    criteria    text NOT NULL,
    parameters  json,
    CONSTRAINT rules_undeclared_are_disabled CHECK (declared OR NOT enabled)
);

-- Every event asks for the enabled rules of its trigger.
CREATE INDEX rules_listening ON rules (trigger_id) WHERE enabled;

-- What each scope says. NULL says nothing and leaves the decision to the next wider scope.
CREATE TABLE policies (
    scope             text NOT NULL CHECK (scope IN ('action', 'pack', 'global')),
    ref               text COLLATE "C" NOT NULL,
    pack              text COLLATE "C" REFERENCES packs, -- who says it; NULL for the global scope
    concurrency_limit integer CHECK (concurrency_limit >= 0),
    max_queued        integer CHECK (max_queued > 0),
    overflow          text CHECK (overflow IN ('reject', 'drop_oldest')),
    queue_timeout_ms  bigint CHECK (queue_timeout_ms >= 0),
    PRIMARY KEY (scope, ref),
    CONSTRAINT policies_global_has_no_owner CHECK ((scope = 'global') = (ref = '') AND (scope = 'global') = (pack IS NULL))
);
