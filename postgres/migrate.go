package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/attune-go/attune"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Processes that start together migrate one after the other: each asks for the lock once a second, for two minutes.
const (
	migrationLockPeriodSeconds = 1
	migrationLockTries         = 120
)

// minServerVersion is what the tables need, as server_version_num has it: UNIQUE NULLS NOT DISTINCT came with 15.
const minServerVersion = 150000

const serverVersionSQL = `SELECT current_setting('server_version_num')::integer, current_setting('server_version')`

func checkServer(ctx context.Context, database *sql.DB) error {
	var number int
	var version string
	if err := database.QueryRowContext(ctx, serverVersionSQL).Scan(&number, &version); err != nil {
		return err
	}
	return checkVersion(number, version)
}

func checkVersion(number int, version string) error {
	if number < minServerVersion {
		return attune.Errorf(attune.CodeInvalid, "attune needs PostgreSQL 15 or later, and this server is %s", version)
	}
	return nil
}

// Migrate brings the tables of the database at url up to date. Migrations only go forward. Any number of processes may
// call it at the same time; the errors are those of [Open].
func Migrate(ctx context.Context, url string) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return urlError()
	}
	prepareConnConfig(config)
	database := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, database.Close()) }()
	if err := database.PingContext(ctx); err != nil {
		return connectError(config, err)
	}
	if err := checkServer(ctx, database); err != nil {
		return wrap("check the server's version", err)
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(migrationLockPeriodSeconds, migrationLockTries))
	if err != nil {
		return fmt.Errorf("create migration lock: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("open embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, database, files,
		goose.WithSessionLocker(locker), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	_, err = provider.Up(ctx)
	return wrap("migrate the database", err)
}
