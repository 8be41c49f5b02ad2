// Package postgrestest gives each test a migrated database of its own.
//
// The TestMain of the test's package must call package testenv.
package postgrestest

import (
	"testing"

	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/postgres"
)

// New returns an open, migrated and otherwise empty database. It is dropped when the test ends.
func New(t testing.TB) *postgres.DB {
	t.Helper()
	return Open(t, postgres.Config{URL: URL(t)})
}

// URL returns the address of a migrated and otherwise empty database. It is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	return testenv.Postgres(t, testenv.Template{Name: "attune", Migrate: postgres.Migrate})
}

// Open opens a database and closes it when the test ends.
func Open(t testing.TB, config postgres.Config) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatalf("open the test's database: %v", err)
	}
	t.Cleanup(db.Close)
	return db
}
