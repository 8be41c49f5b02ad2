-- Rules: which action an event of a trigger runs.

-- +goose Up
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

-- Every event reads the enabled rules of its trigger.
CREATE INDEX rules_listening ON rules (trigger_id) WHERE enabled;
