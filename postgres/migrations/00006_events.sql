-- Events. A row never changes, except that a change of the key encrypts its secret fields again.

-- +goose Up
CREATE TABLE events (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_id   bigint NOT NULL REFERENCES triggers,
    payload      json NOT NULL, -- secret fields are masked
    encrypted    text CHECK (encrypted LIKE 'v1.%'), -- the secret fields, encrypted; NULL without any
    source       text NOT NULL CHECK (source IN ('api', 'webhook', 'timer', 'manual')),
    dedup_key    text COLLATE "C",
    principal    text CHECK (principal <> ''), -- NULL without an authenticated principal; then the next three are NULL too
    auth_method  text CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of text,
    note         text,
    received_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT events_author_at_once CHECK (num_nulls(principal, auth_method, on_behalf_of, note) IN (0, 4)),
    CONSTRAINT events_manual_has_author CHECK (source <> 'manual' OR principal IS NOT NULL)
);

CREATE UNIQUE INDEX events_dedup ON events (trigger_id, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX events_of_trigger ON events (trigger_id, id);
CREATE INDEX events_encrypted ON events (id) WHERE encrypted IS NOT NULL;
