-- How fast queues move, and how long slots are held: the newest slots that were given back, and those of a span of time.
-- Filling in released_at now touches this index, too.

-- +goose Up
CREATE INDEX grants_released ON grants (queue_key, released_at) WHERE released_at IS NOT NULL;
