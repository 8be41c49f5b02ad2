-- The outbox: messages that must still be published. A row is deleted when the broker has confirmed its message.

-- +goose Up
CREATE TABLE outbox (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    routing_key text NOT NULL,
    message_id  text NOT NULL,
    body        json NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp()
    -- Every row is soon deleted. Vacuum runs after a fixed number of deleted rows; otherwise dead entries would fill the head
    -- of the index.
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
