-- Triggers. Triggers, actions and rules are never deleted, because events and enforcements refer to them. A row that its pack
-- no longer declares is marked; if the pack declares it again, it keeps its id.

-- +goose Up
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
