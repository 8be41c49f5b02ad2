-- The installation: one row that says which database this is.

-- +goose Up
CREATE TABLE installation (
    id   uuid NOT NULL DEFAULT gen_random_uuid(),
    only boolean PRIMARY KEY DEFAULT true CHECK (only)
);
INSERT INTO installation DEFAULT VALUES;
