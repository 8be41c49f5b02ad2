-- Packs: the installed version of each pack.
--
-- All tables store JSON as json, not jsonb. json keeps the text unchanged (order of keys, long numbers, \u0000); jsonb refuses
-- some valid documents and changes others.

-- +goose Up
CREATE TABLE packs (
    name         text COLLATE "C" PRIMARY KEY,
    version      text NOT NULL,
    description  text NOT NULL,
    digest       text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
