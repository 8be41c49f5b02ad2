-- Policies: what each scope says. NULL says nothing and leaves the decision to the next wider scope.

-- +goose Up
CREATE TABLE policies (
    scope             text NOT NULL CHECK (scope IN ('action', 'pack', 'global')),
    ref               text COLLATE "C" NOT NULL,
    pack              text COLLATE "C" REFERENCES packs, -- who says it; NULL for the global scope
    concurrency_limit integer CHECK (concurrency_limit >= 0),
    max_queued        integer CHECK (max_queued > 0),
    overflow          text CHECK (overflow IN ('reject', 'drop_oldest')),
    queue_timeout_ms  bigint CHECK (queue_timeout_ms >= 0),
    max_attempts      integer CHECK (max_attempts BETWEEN 1 AND 100),
    retry_delay_ms    bigint CHECK (retry_delay_ms >= 0),
    retry_placement   text CHECK (retry_placement IN ('hold', 'back', 'park')),
    PRIMARY KEY (scope, ref),
    CONSTRAINT policies_global_has_no_owner CHECK ((scope = 'global') = (ref = '') AND (scope = 'global') = (pack IS NULL))
);
