-- Secrets: encrypted values with the packs whose actions may have them. The keys are never in the database.

-- +goose Up
CREATE TABLE secrets (
    id           bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    name         text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
    packs        text[] COLLATE "C" NOT NULL, -- sorted; the encryption is bound to name and packs
    encrypted       text NOT NULL CHECK (encrypted LIKE 'v1.%'),
    revision     bigint NOT NULL DEFAULT 1,   -- rises with every change
    principal    text NOT NULL CHECK (principal <> ''), -- the author of the last change
    auth_method  text NOT NULL CHECK (auth_method <> ''),
    on_behalf_of text NOT NULL,
    note         text NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
