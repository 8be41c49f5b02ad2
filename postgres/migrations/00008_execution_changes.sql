-- What people have done to executions by hand. It is kept for ever.

-- +goose Up
CREATE TABLE execution_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    execution_id bigint NOT NULL REFERENCES executions,
    attempt      integer NOT NULL,
    at           timestamptz NOT NULL,
    principal    text NOT NULL CHECK (principal <> ''),
    auth_method  text NOT NULL CHECK (auth_method IN ('token', 'temporal', 'system')),
    on_behalf_of text NOT NULL,
    note         text NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('cancel', 'retry', 'give_up')),
    "from"       text NOT NULL,
    "to"         text NOT NULL
);
CREATE INDEX execution_changes_of ON execution_changes (execution_id, id);
