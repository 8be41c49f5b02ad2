-- The outbox: what must still be published. A row is removed once the broker has confirmed its message.

-- +goose Up
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    routing_key text NOT NULL,
    message_id  text NOT NULL,
    body        json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
    -- Rows come and go by the thousand: vacuum after a fixed number of them, or the head of the index fills with dead ones.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
