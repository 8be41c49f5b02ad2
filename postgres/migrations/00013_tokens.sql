-- Tokens of the API: who may do what. The row has no secret; the rows of token_secrets have digests.

-- +goose Up
CREATE TABLE tokens (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text COLLATE "C" NOT NULL CHECK (name <> ''),
    role           text NOT NULL CHECK (role IN ('viewer', 'operator', 'admin', 'worker', 'event')),
    triggers       text[] NOT NULL, -- references of the triggers whose events the role event may send
    created_at     timestamptz NOT NULL,
    created_by     text NOT NULL CHECK (created_by <> ''),
    created_method text NOT NULL CHECK (created_method IN ('token', 'oidc', 'temporal', 'system')),
    expires_at     timestamptz,
    last_used_at   timestamptz, -- by at most one minute too early
    revoked_at     timestamptz,
    revoked_by     text CHECK (revoked_by <> ''),
    revoked_method text CHECK (revoked_method IN ('token', 'oidc', 'temporal', 'system')),
    CONSTRAINT tokens_triggers_of_event CHECK ((role = 'event') = (cardinality(triggers) > 0)),
    CONSTRAINT tokens_revoked_at_once CHECK (num_nulls(revoked_at, revoked_by, revoked_method) IN (0, 3))
);

-- A name is free again after the token is revoked.
CREATE UNIQUE INDEX tokens_name ON tokens (name) WHERE revoked_at IS NULL;

-- A token has one secret, and for some time after a rotation more. The prefix is the part of the secret that attune may show.
CREATE TABLE token_secrets (
    prefix      text COLLATE "C" PRIMARY KEY,
    token_id    bigint NOT NULL REFERENCES tokens,
    digest      bytea NOT NULL CHECK (octet_length(digest) = 32), -- SHA-256 of the whole token
    created_at  timestamptz NOT NULL,
    valid_until timestamptz -- set by a rotation
);
CREATE INDEX token_secrets_of ON token_secrets (token_id);
