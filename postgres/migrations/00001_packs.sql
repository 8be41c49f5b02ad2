-- Packs: what was installed last under each name.
--
-- JSON is kept in columns of type json, not jsonb, in all tables: json keeps the text as it came (order of keys, long
-- numbers, \u0000), while jsonb refuses some valid documents and changes others.

-- +goose Up
CREATE TABLE packs (
    name         text COLLATE "C" PRIMARY KEY,
    version      text NOT NULL,
    description  text NOT NULL,
    digest       text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
