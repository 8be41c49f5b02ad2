-- Actions: what workers can run.

-- +goose Up
CREATE TABLE actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref         text COLLATE "C" NOT NULL UNIQUE,
    pack        text COLLATE "C" NOT NULL REFERENCES packs,
    description text NOT NULL,
    enabled     boolean NOT NULL DEFAULT true,
    command     text[] NOT NULL,
    env         text[] NOT NULL,
    secrets     text[] NOT NULL, -- names
    schema      json,
    timeout_ms  bigint NOT NULL CHECK (timeout_ms > 0),
    pool        text NOT NULL,
    memory      bigint NOT NULL CHECK (memory >= 0),     -- bytes, and number of processes, that an attempt may use;
    processes   integer NOT NULL CHECK (processes >= 0), -- 0 means no limit
    digest      text NOT NULL -- of what a worker uses of the action: see attune.Action.Digest
);
