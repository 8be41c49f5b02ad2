-- The audit log: requests that asked for a change. The row of a change is written before the change, and its status after it.

-- +goose Up
CREATE TABLE audit (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    principal    text CHECK (principal <> ''), -- NULL without a valid token
    auth_method  text CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    role         text NOT NULL,
    token        text NOT NULL, -- prefix of the token
    action       text NOT NULL CHECK (action <> ''),
    subject      text NOT NULL,
    on_behalf_of text NOT NULL,
    note         text NOT NULL,
    detail       json, -- of a change of a policy: the requested document, or the document that has ended
    request_id   text NOT NULL,
    remote       text NOT NULL,
    status       integer CHECK (status BETWEEN 100 AND 599), -- NULL until the outcome is recorded
    omitted      integer NOT NULL CHECK (omitted >= 0), -- denied requests of the principal since its last entry that have none
    CONSTRAINT audit_principal_at_once CHECK (num_nulls(principal, auth_method) IN (0, 2))
);
CREATE INDEX audit_of_principal ON audit (principal, id);
CREATE INDEX audit_of_subject ON audit (subject, id);
