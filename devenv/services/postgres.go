package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresUser  = "attune"
	postgresStart = 2 * time.Minute
)

// PostgresConfig says how to run PostgreSQL.
type PostgresConfig struct {
	// Dir holds the data and the log and is created if needed. A folder with data is used as it is. When attune runs
	// as root the server runs as user "postgres" (or "nobody"), who must be able to pass through to Dir.
	Dir string
	// Port on 127.0.0.1; 0 chooses a free one.
	Port int
	// Ephemeral gives up what only protects against the machine going down, and Stop no longer waits for clients.
	Ephemeral bool
}

// Postgres is a running PostgreSQL server: one superuser "attune" with a database of the same name, no password,
// reachable from this machine only.
type Postgres struct {
	service
	config   PostgresConfig
	port     *port
	programs postgresPrograms
	account  *account
}

// StartPostgres starts PostgreSQL and returns when it accepts queries. ctx bounds the start only.
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	ctx, cancel := within(ctx, postgresStart, "PostgreSQL")
	defer cancel()
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of PostgreSQL: %w", err)
	}
	config.Dir = dir
	p := &Postgres{config: config, port: newPort(config.Port,
		"use another port, or set ATTUNE_POSTGRES_URL to use the server that runs there")}
	p.service.name, p.service.ephemeral, p.service.launch = "PostgreSQL", config.Ephemeral, p.run
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	if err := startOn(ctx, p.name, []*port{p.port}, p.begin); err != nil {
		return nil, err
	}
	if err := p.createDatabase(ctx); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// URL returns the address of the database "attune".
func (p *Postgres) URL() string { return p.url(postgresUser) }

func (p *Postgres) url(database string) string {
	return fmt.Sprintf("postgres://%s@%s/%s?sslmode=disable", postgresUser, p.port.address(), database)
}

func (p *Postgres) data() string { return filepath.Join(p.config.Dir, "data") }

// prepare finds the programs and makes the data folder if there is none.
func (p *Postgres) prepare(ctx context.Context) error {
	version, err := os.ReadFile(filepath.Join(p.data(), "PG_VERSION"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("version of the PostgreSQL data in %q: %w", p.data(), err)
	}
	if p.programs, err = findPostgres(debianPostgres, strings.TrimSpace(string(version))); err != nil {
		return err
	}
	if p.account, err = unprivileged(); err != nil {
		return err
	}
	if err := os.MkdirAll(p.config.Dir, 0o755); err != nil {
		return fmt.Errorf("folder of PostgreSQL: %w", err)
	}
	if err := p.account.canEnter(p.data()); err != nil {
		return err
	}
	if len(version) > 0 {
		return nil
	}
	return p.initialize(ctx)
}

// initialize runs initdb into a folder beside the data folder and renames that, so that an interrupted run leaves
// nothing that looks like data.
func (p *Postgres) initialize(ctx context.Context) error {
	fresh := p.data() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove what an interrupted initdb left: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("data folder of PostgreSQL: %w", err)
	}
	if err := p.account.own(fresh); err != nil {
		return fmt.Errorf("give %q to user %q: %w", fresh, p.account.name, err)
	}
	args := []string{
		"--pgdata", fresh, "--username", postgresUser, "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C", "--no-instructions",
	}
	if p.config.Ephemeral {
		args = append(args, "--no-sync")
	}
	initdb, err := start(p.command("initdb", p.programs.initdb, args))
	if err != nil {
		return err
	}
	select {
	case <-initdb.done:
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("initdb: %w", context.Cause(ctx)), initdb.kill())
	}
	if initdb.err != nil {
		return initdb.crash("failed")
	}
	return os.Rename(fresh, p.data())
}

// command describes a PostgreSQL program. Its environment is empty but for the basics: PGPORT and the like would
// override what is set here.
func (p *Postgres) command(name, path string, args []string) command {
	return command{
		name: name, path: path, args: args, dir: p.config.Dir,
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.config.Dir, "LC_ALL=C"},
		log: filepath.Join(p.config.Dir, filepath.Base(path)+".log"),

		account: p.account,
		// PostgreSQL's fast shutdown disconnects everybody and then writes a checkpoint. Its immediate shutdown only
		// ends the backends and frees the shared memory, which a killed server could not.
		graceful: syscall.SIGINT,
		discard:  syscall.SIGQUIT,
		orphaned: syscall.SIGQUIT,
	}
}

// run starts the server on the data folder and waits until it answers.
func (p *Postgres) run(ctx context.Context) ([]*process, error) {
	args := []string{"-D", p.data(), "-p", p.port.String()}
	for _, setting := range p.settings() {
		args = append(args, "-c", setting)
	}
	server, err := start(p.command(p.name, p.programs.postgres, args))
	if err != nil {
		return nil, err
	}
	return []*process{server}, server.ready(ctx, p.answers)
}

// settings leave PostgreSQL's own defaults alone except where this use differs. Commits of an ephemeral server still
// reach the operating system before they are acknowledged, so Kill loses nothing that was committed.
func (p *Postgres) settings() []string {
	settings := []string{
		"listen_addresses=" + loopback,
		"unix_socket_directories=",
		"max_connections=300",
		"logging_collector=off",
		"log_destination=stderr",
		"log_checkpoints=off",
		"jit=off",
		"timezone=UTC",
	}
	if p.config.Ephemeral {
		settings = append(settings, "fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
			"max_wal_size=4GB", "checkpoint_timeout=1h", "dynamic_shared_memory_type=mmap")
	}
	return settings
}

// answers asks the server on our port for its data folder: another server could have taken the port first.
func (p *Postgres) answers(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var data string
	if err := conn.QueryRow(ctx, "SHOW data_directory").Scan(&data); err != nil {
		return err
	}
	if data != p.data() {
		return fmt.Errorf("port %s belongs to the PostgreSQL server of %q", p.port, data)
	}
	return nil
}

// createDatabase makes the database "attune" unless an earlier run did.
func (p *Postgres) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.url("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the PostgreSQL server just started: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	const find = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
	if err := conn.QueryRow(ctx, find, postgresUser).Scan(&exists); err != nil {
		return fmt.Errorf("look for database %q: %w", postgresUser, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+postgresUser); err != nil {
		return fmt.Errorf("create database %q: %w", postgresUser, err)
	}
	return nil
}
