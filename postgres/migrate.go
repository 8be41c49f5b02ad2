package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/attune-go/attune"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Processes that start together migrate one after the other. Each tries to get the lock once a second, for two minutes.
const (
	migrationLockPeriodSeconds = 1
	migrationLockTries         = 120
)

// minServerVersion is the oldest supported server_version_num: the tables use UNIQUE NULLS NOT DISTINCT, which came with 15.
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
		return attune.Errorf(attune.CodeInvalid, "attune needs PostgreSQL 15 or later; this server is %s", version)
	}
	return nil
}

// Migrate applies the missing migrations to the database at url. Migrations only go forward. Any number of processes may call
// Migrate at the same time. It returns the errors of [Open], and [attune.CodeInvalid] for a server older than 15.
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

const schemaSQL = `
SELECT current_setting('server_version'), COALESCE(max(v.version_id), 0) FROM goose_db_version v WHERE v.is_applied`

// Schema returns the version of the server, the version of its tables, and the newest version that this program knows.
func (db *DB) Schema(ctx context.Context) (attune.DatabaseSchema, error) {
	schema, err := one(ctx, db.pool, func(row pgx.CollectableRow) (s attune.DatabaseSchema, err error) {
		err = row.Scan(&s.Server, &s.Version)
		return s, err
	}, schemaSQL)
	if err != nil {
		return schema, wrap("read the version of the tables", err)
	}
	schema.Newest, err = newestMigration()
	return schema, err
}

// newestMigration returns the highest number of the embedded migrations.
func newestMigration() (newest int64, err error) {
	files, err := migrations.ReadDir("migrations")
	if err != nil {
		return 0, fmt.Errorf("open embedded migrations: %w", err)
	}
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("number of migration %q: %w", file.Name(), err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
