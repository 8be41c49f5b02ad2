-- Policies: the documents of each scope. A scope can have one document of a pack and one of a person; installing a pack changes
-- only the pack's documents. No column names the pack of a document: it is the first part of ref.

-- +goose Up
CREATE TABLE policies (
    id           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    scope        text NOT NULL CHECK (scope IN ('global', 'pack', 'queue', 'action')),
    ref          text COLLATE "C" NOT NULL, -- of the pack, queue or action; empty for the global scope
    origin       text NOT NULL CHECK (origin IN ('pack', 'person')),
    document     json NOT NULL CHECK (json_typeof(document) = 'object'),
    revision     bigint NOT NULL DEFAULT 1, -- rises with every change of the document
    principal    text CHECK (principal <> ''), -- the author; NULL for a pack
    auth_method  text CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of text,
    note         text,
    until        timestamptz, -- the document ends then; NULL: it stays until it is changed or removed
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (scope, ref, origin),
    CONSTRAINT policies_global_has_no_ref CHECK ((scope = 'global') = (ref = '')),
    CONSTRAINT policies_global_is_of_a_person CHECK (scope <> 'global' OR origin = 'person'),
    CONSTRAINT policies_only_those_of_persons_end CHECK (until IS NULL OR origin = 'person'),
    CONSTRAINT policies_author CHECK
        (num_nulls(principal, auth_method, on_behalf_of, note) = CASE origin WHEN 'pack' THEN 4 ELSE 0 END)
);

-- Every event reads the documents with a key that cover its actions.
CREATE INDEX policies_with_key ON policies (scope, ref) WHERE document ->> 'key' IS NOT NULL;

CREATE INDEX policies_ending ON policies (until) WHERE until IS NOT NULL;

-- Documents that were changed, until the policies of all queues that they cover are resolved again, in the order of the queues'
-- ids. The row is written with the change, so no crash loses it.
CREATE TABLE policy_changes (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope      text NOT NULL,
    ref        text COLLATE "C" NOT NULL,
    last_queue bigint NOT NULL DEFAULT 0 -- the queues with ids up to this one follow the change
);

-- Queues whose workflow may not know the latest policy. The row is written with the policy, and removed after the signal.
CREATE TABLE untold_policies (
    queue_id bigint PRIMARY KEY,
    revision bigint NOT NULL,     -- of the policy
    at       timestamptz NOT NULL -- when the policy was resolved
);
