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

-- A journal, kept forever: manual switches of rules.
CREATE TABLE rule_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rule_id      bigint NOT NULL REFERENCES rules,
    at           timestamptz NOT NULL,
    principal    text NOT NULL CHECK (principal <> ''),
    auth_method  text NOT NULL CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of text NOT NULL,
    note         text NOT NULL,
    "from"       text NOT NULL CHECK ("from" IN ('enabled', 'disabled')),
    "to"         text NOT NULL CHECK ("to" IN ('enabled', 'disabled')),
    CONSTRAINT rule_changes_change CHECK ("from" <> "to")
);
CREATE INDEX rule_changes_of ON rule_changes (rule_id, id);
