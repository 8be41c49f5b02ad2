-- Policies: the documents of each scope. A scope can have one document of a pack and one of a person; installing a pack changes
-- only the pack's documents. No column names the pack of a document: it is the first part of ref.

-- +goose Up
CREATE TABLE policies (
    scope        text NOT NULL CHECK (scope IN ('global', 'pack', 'queue', 'action')),
    ref          text COLLATE "C" NOT NULL, -- of the pack, queue or action; empty for the global scope
    origin       text NOT NULL CHECK (origin IN ('pack', 'person')),
    document     json NOT NULL CHECK (json_typeof(document) = 'object'),
    revision     bigint NOT NULL DEFAULT 1, -- rises with every change of the document
    principal    text CHECK (principal <> ''), -- the author; NULL for a pack
    auth_method  text CHECK (auth_method IN ('token', 'oidc', 'temporal', 'system')),
    on_behalf_of text,
    note         text,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (scope, ref, origin),
    CONSTRAINT policies_global_has_no_ref CHECK ((scope = 'global') = (ref = '')),
    CONSTRAINT policies_global_is_of_a_person CHECK (scope <> 'global' OR origin = 'person'),
    CONSTRAINT policies_author CHECK
        (num_nulls(principal, auth_method, on_behalf_of, note) = CASE origin WHEN 'pack' THEN 4 ELSE 0 END)
);

-- Every event reads the documents with a key that cover its actions.
CREATE INDEX policies_with_key ON policies (scope, ref) WHERE document ->> 'key' IS NOT NULL;
