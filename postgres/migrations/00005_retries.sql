-- Attempts after the first: what policies say about them, where an enforcement waits for one, and how the attempts before
-- have ended. Generations: how often a queue was rebuilt from these rows, so that what it decided before can be fenced off.

-- +goose Up
ALTER TABLE policies
    ADD COLUMN max_attempts    integer CHECK (max_attempts BETWEEN 1 AND 100),
    ADD COLUMN retry_delay_ms  bigint CHECK (retry_delay_ms >= 0),
    ADD COLUMN retry_placement text CHECK (retry_placement IN ('hold', 'back', 'park'));

-- Queues from before have the policy that nobody has said anything about; from here on whoever makes a queue says it.
ALTER TABLE queues
    ADD COLUMN max_attempts    integer NOT NULL DEFAULT 1 CHECK (max_attempts BETWEEN 1 AND 100),
    ADD COLUMN retry_delay_ms  bigint NOT NULL DEFAULT 10000 CHECK (retry_delay_ms >= 0),
    ADD COLUMN retry_placement text NOT NULL DEFAULT 'hold' CHECK (retry_placement IN ('hold', 'back', 'park')),
    ADD COLUMN generation      bigint NOT NULL DEFAULT 0;
ALTER TABLE queues
    ALTER COLUMN max_attempts DROP DEFAULT,
    ALTER COLUMN retry_delay_ms DROP DEFAULT,
    ALTER COLUMN retry_placement DROP DEFAULT;

-- An enforcement that goes back to the line has the place and the grant of its next attempt only: those of earlier ones are
-- in the log of grants. One that is parked keeps its grant, but not its slot.
ALTER TABLE enforcements
    DROP CONSTRAINT enforcements_status_check,
    DROP CONSTRAINT enforcements_place,
    DROP CONSTRAINT enforcements_grant,
    ADD CONSTRAINT enforcements_status CHECK (status IN
        ('created', 'queued', 'granted', 'parked', 'executed', 'rejected', 'cancelled', 'expired')),
    ADD CONSTRAINT enforcements_place CHECK (CASE
        WHEN status = 'created' THEN sequence IS NULL
        WHEN status IN ('queued', 'granted', 'parked', 'executed') THEN sequence IS NOT NULL
        ELSE true END),
    ADD CONSTRAINT enforcements_grant CHECK ((status IN ('granted', 'parked', 'executed')) = (grant_number IS NOT NULL));

DROP INDEX enforcements_unusual;
CREATE INDEX enforcements_unusual ON enforcements (status, id)
    WHERE status IN ('created', 'parked', 'rejected', 'cancelled', 'expired');

ALTER TABLE executions
    ADD COLUMN attempt_status text NOT NULL DEFAULT '' CHECK (attempt_status IN ('', 'failed', 'timed_out', 'abandoned')),
    ADD COLUMN retry_at       timestamptz, -- NULL: it does not hold its slot for the next attempt
    ADD CONSTRAINT executions_retrying CHECK ((status = 'retrying') = (attempt_status <> '')),
    ADD CONSTRAINT executions_retry_at CHECK (status = 'retrying' OR retry_at IS NULL),
    ADD CONSTRAINT executions_retry_wanted CHECK (status <> 'retrying' OR cancel_requested_at IS NULL);

-- How attempts have ended that were not to be the last. It is kept for ever.
CREATE TABLE execution_attempts (
    execution_id bigint NOT NULL REFERENCES executions,
    attempt      integer NOT NULL CHECK (attempt > 0),
    status       text NOT NULL CHECK (status IN ('failed', 'timed_out', 'abandoned')),
    reason       text NOT NULL,
    error        text NOT NULL,
    exit_code    bigint,
    worker       text NOT NULL,
    started_at   timestamptz, -- NULL: no worker has claimed it
    finished_at  timestamptz NOT NULL,
    PRIMARY KEY (execution_id, attempt)
);

-- queued_at is that of the place that was granted: an enforcement can have another one by now. attempt is the latest one
-- that was allowed under the grant.
ALTER TABLE grants
    ADD COLUMN generation bigint NOT NULL DEFAULT 0,
    ADD COLUMN queued_at  timestamptz;
UPDATE grants g SET queued_at = e.queued_at FROM enforcements e WHERE e.id = g.enforcement_id;
ALTER TABLE grants
    ALTER COLUMN generation DROP DEFAULT,
    ALTER COLUMN queued_at SET NOT NULL;
COMMENT ON COLUMN grants.released_at IS
    'when the execution ended, or its attempt if the slot was given up for the next one; NULL while it holds its slot';
