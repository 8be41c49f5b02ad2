-- For how long a worker may run what it has claimed unless it is heard from.

-- +goose Up
ALTER TABLE executions
    ADD COLUMN lease_until timestamptz,
    ADD CONSTRAINT executions_lease CHECK (status = 'running' OR lease_until IS NULL);
COMMENT ON COLUMN executions.lease_until IS
    'while it runs: from here on its worker counts as lost; NULL: never, because it was claimed before there were leases';

-- Leases that have run out, however many others there are: only what runs is in here.
CREATE INDEX executions_leased ON executions (lease_until) WHERE lease_until IS NOT NULL;
