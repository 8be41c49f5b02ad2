package services

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// postgresSuperuser is for this package and for tests.
	postgresSuperuser = "postgres"
	// postgresOwner owns the database of the same name and no other object.
	postgresOwner = "attune"
	postgresStart = 2 * time.Minute
)

// PostgresConfig says how to run PostgreSQL.
type PostgresConfig struct {
	// Dir holds the data, the passwords and the log, and is made private ([PrivateDir]). Existing data is used. If attune
	// runs as root, the server runs as user "postgres" (or "nobody"), who must be able to enter Dir.
	Dir string
	// Port on 127.0.0.1; 0 chooses a free one.
	Port int
	// PortAdvice ends the message about a taken port and says how to choose another.
	PortAdvice string
	// Ephemeral switches off protection against a crash of the machine, and makes Stop end the server at once.
	Ephemeral bool
}

// Postgres is a running PostgreSQL server. It listens on loopback and requires a password. It has a database "attune",
// owned by a user of the same name who is no superuser.
type Postgres struct {
	service
	config    PostgresConfig
	port      *port
	programs  postgresPrograms
	account   *account
	passwords passwords
}

// StartPostgres starts PostgreSQL and returns when the server accepts queries. ctx bounds the start only. Data without
// passwords is an [OldDataError].
func StartPostgres(ctx context.Context, config PostgresConfig) (*Postgres, error) {
	ctx, cancel := within(ctx, postgresStart, "PostgreSQL")
	defer cancel()
	dir, err := filepath.Abs(config.Dir)
	if err != nil {
		return nil, fmt.Errorf("folder of PostgreSQL: %w", err)
	}
	config.Dir = dir
	p := &Postgres{config: config, port: newPort("PostgreSQL", config.Port, config.PortAdvice)}
	p.service.name, p.service.ephemeral, p.service.launch = "PostgreSQL", config.Ephemeral, p.run
	if err := p.prepare(ctx); err != nil {
		return nil, err
	}
	if err := startOn(ctx, []*port{p.port}, p.begin); err != nil {
		return nil, err
	}
	if err := p.createDatabase(ctx); err != nil {
		return nil, errors.Join(err, p.Kill())
	}
	return p, nil
}

// URL returns the address of the database "attune" for its owner.
func (p *Postgres) URL() string { return p.url(postgresOwner, postgresOwner) }

// AdminURL returns the address of the database "postgres" for the superuser.
func (p *Postgres) AdminURL() string { return p.url(postgresSuperuser, "postgres") }

func (p *Postgres) url(user, database string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", user, p.passwords[user], p.port.address(), database)
}

func (p *Postgres) data() string { return filepath.Join(p.config.Dir, "data") }

// prepare finds the programs and creates the data folder if it is missing.
func (p *Postgres) prepare(ctx context.Context) error {
	version, err := postgresVersion(p.config.Dir)
	if err != nil {
		return err
	}
	if p.programs, err = findPostgres(debianPostgres, version); err != nil {
		return err
	}
	if p.account, err = unprivileged(); err != nil {
		return err
	}
	if err := privateDir(p.config.Dir, p.account); err != nil {
		return fmt.Errorf("folder of PostgreSQL: %w", err)
	}
	if err := p.account.canEnter(p.data()); err != nil {
		return err
	}
	if p.passwords, err = loadPasswords(p.config.Dir, version != "", postgresSuperuser, postgresOwner); err != nil {
		return err
	}
	if version != "" {
		return nil
	}
	return p.initialize(ctx)
}

// postgresVersion returns the major version of the data in the folder of a server; empty without data.
func postgresVersion(dir string) (string, error) {
	version, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("version of the PostgreSQL data in %q: %w", dir, err)
	}
	return strings.TrimSpace(string(version)), nil
}

// initialize runs initdb in a new folder and renames that to the data folder, so that an interrupted run leaves no
// incomplete data folder.
func (p *Postgres) initialize(ctx context.Context) error {
	fresh, password := p.data()+".new", filepath.Join(p.config.Dir, "initdb.password")
	if err := os.RemoveAll(fresh); err != nil {
		return fmt.Errorf("remove the folder of an interrupted initdb: %w", err)
	}
	if err := os.Mkdir(fresh, 0o700); err != nil {
		return fmt.Errorf("data folder of PostgreSQL: %w", err)
	}
	defer os.Remove(password)
	if err := os.WriteFile(password, []byte(p.passwords[postgresSuperuser]), 0o600); err != nil {
		return fmt.Errorf("password for initdb: %w", err)
	}
	for _, path := range []string{fresh, password} {
		if err := p.account.takeOver(path); err != nil {
			return fmt.Errorf("give %q to user %q: %w", path, p.account.name, err)
		}
	}
	if err := p.initdb(ctx, fresh, password); err != nil {
		return err
	}
	return os.Rename(fresh, p.data())
}

// initdb creates a server that requires a password from every user, over every kind of connection.
func (p *Postgres) initdb(ctx context.Context, dir, password string) error {
	args := []string{
		"--pgdata", dir, "--username", postgresSuperuser, "--pwfile", password, "--auth", "scram-sha-256",
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
	return nil
}

// command describes a PostgreSQL program. Its environment has only the basics: variables like PGPORT would override the
// settings here.
func (p *Postgres) command(name, path string, args []string) command {
	return command{
		name: name, path: path, args: args, dir: p.config.Dir,
		env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.config.Dir, "LC_ALL=C"},
		log: filepath.Join(p.config.Dir, filepath.Base(path)+".log"),

		account: p.account,
		// PostgreSQL's fast shutdown disconnects all clients and writes a checkpoint. Its immediate shutdown ends the
		// backends and frees the shared memory; a killed server would not free it.
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
	return []*process{server}, server.ready(ctx, p.probe)
}

// settings returns the settings that differ from PostgreSQL's defaults. Commits of an ephemeral server still reach the
// operating system before they are acknowledged, so Kill loses no committed data.
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

// probe asks the server on the port for its data folder, because another server could have taken the port first.
func (p *Postgres) probe(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.AdminURL())
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

// createDatabase creates the database "attune" and its owner, unless they exist.
func (p *Postgres) createDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, p.AdminURL())
	if err != nil {
		return fmt.Errorf("connect to the started PostgreSQL server: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Passwords consist of letters and digits: see loadPasswords.
	for _, step := range []struct{ find, create string }{
		{
			find:   "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)",
			create: "CREATE ROLE " + postgresOwner + " LOGIN PASSWORD '" + p.passwords[postgresOwner] + "'",
		},
		{
			find:   "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)",
			create: "CREATE DATABASE " + postgresOwner + " OWNER " + postgresOwner,
		},
	} {
		var exists bool
		if err := conn.QueryRow(ctx, step.find, postgresOwner).Scan(&exists); err != nil {
			return fmt.Errorf("find database %q and its owner: %w", postgresOwner, err)
		}
		if exists {
			continue
		}
		if _, err := conn.Exec(ctx, step.create); err != nil {
			return fmt.Errorf("create database %q and its owner: %w", postgresOwner, err)
		}
	}
	return nil
}
