-- Events: what happened. A row never changes.

-- +goose Up
CREATE TABLE events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trigger_id  bigint NOT NULL REFERENCES triggers,
    payload     json NOT NULL,
    source      text NOT NULL CHECK (source IN ('api', 'webhook', 'timer', 'manual')),
    dedup_key   text COLLATE "C",
    received_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE UNIQUE INDEX events_dedup ON events (trigger_id, dedup_key) WHERE dedup_key IS NOT NULL;
CREATE INDEX events_of_trigger ON events (trigger_id, id);
