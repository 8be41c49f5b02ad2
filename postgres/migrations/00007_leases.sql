-- For how long a worker may run what it has claimed unless it is heard from.

-- +goose Up
ALTER TABLE executions ADD COLUMN lease_until timestamptz;
COMMENT ON COLUMN executions.lease_until IS 'while it runs: from here on its worker counts as lost';

-- What still runs, as far as is known here, was claimed by a worker that does not renew leases, and has been stopped. Its
-- report may wait in the broker until the services are up again.
UPDATE executions SET lease_until = clock_timestamp() + interval '10 minutes' WHERE status = 'running';
ALTER TABLE executions ADD CONSTRAINT executions_lease CHECK ((status = 'running') = (lease_until IS NOT NULL));

-- Leases that have run out, however many executions there are: only what runs is in here.
CREATE INDEX executions_leased ON executions (lease_until) WHERE lease_until IS NOT NULL;
