-- The installation: one row with the id of this database, and a number that rises while attune runs.

-- +goose Up
CREATE TABLE installation (
    id        uuid NOT NULL DEFAULT gen_random_uuid(),
    watermark bigint NOT NULL DEFAULT 0,
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
INSERT INTO installation DEFAULT VALUES;
