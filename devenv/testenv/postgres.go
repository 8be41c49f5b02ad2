package testenv

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresVariable = "ATTUNE_TEST_POSTGRES_URL"
	cleanupTimeout   = 2 * time.Minute
)

// external returns the address of an external service from the tests' own variable, or from the variable that attune
// reads; empty if neither is set.
func external(variable string) string {
	general := strings.Replace(variable, "ATTUNE_TEST_TEMPORAL_", "TEMPORAL_", 1)
	general = strings.Replace(general, "ATTUNE_TEST_", "ATTUNE_", 1)
	return cmp.Or(os.Getenv(variable), os.Getenv(general))
}

// Template is a database that is created once per run and copied for every test, which takes milliseconds.
type Template struct {
	// Name identifies the template; templates with the same name must be the same.
	Name string
	// Version changes when the effect of Migrate changes, for example a hash of the migration files. It matters only on an
	// external server, where later runs use a template again. Without a version, every run creates its own template.
	Version string
	// Migrate fills the database at url. It must close its connections.
	Migrate func(ctx context.Context, url string) error
}

// Postgres returns the address of a new database: a copy of the template, or an empty database without a template. The
// database is dropped when the test ends, even with open connections. Its user owns the database and is no superuser; on
// an external server, its user is the user of the server's address.
func Postgres(t testing.TB, template ...Template) string {
	t.Helper()
	s := postgresServer(t)
	admin, err := pgx.Connect(t.Context(), s.admin)
	if err != nil {
		t.Fatalf("connect to the test environment's PostgreSQL: %v", err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	source := "template1"
	if len(template) > 0 {
		source = template[0].prepare(t, admin, s)
	}
	return s.create(t, admin, source)
}

// CopyPostgres returns the address of a new database: a copy of the database at the address, to which no process may be
// connected. The copy is dropped when the test ends.
func CopyPostgres(t testing.TB, address string) string {
	t.Helper()
	s := postgresServer(t)
	source, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatalf("copy a database: %v", err)
	}
	admin, err := pgx.Connect(t.Context(), s.admin)
	if err != nil {
		t.Fatalf("connect to the test environment's PostgreSQL: %v", err)
	}
	defer admin.Close(context.WithoutCancel(t.Context()))
	return s.create(t, admin, pgx.Identifier{source.Database}.Sanitize())
}

// create creates a database as a copy of another database, and drops the copy when the test ends.
func (s server) create(t testing.TB, admin *pgx.Conn, source string) (address string) {
	t.Helper()
	name := databaseName(t.Name())
	create := "CREATE DATABASE " + name + " TEMPLATE " + source + s.ownerClause()
	if _, err := admin.Exec(t.Context(), create); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	t.Cleanup(func() { dropDatabase(t, s.admin, name) })
	return withDatabase(t, s.url, name)
}

// server is a PostgreSQL server. url has the user that owns the tests' databases, and admin a user who may create
// databases. An external server has one address for both.
type server struct{ url, admin string }

func postgresServer(t testing.TB) server {
	t.Helper()
	if address := external(postgresVariable); address != "" {
		return server{url: address, admin: address}
	}
	shared := requestService(t, "postgres")
	return server{url: shared.URL, admin: shared.Admin}
}

// ownerClause is the end of the statement that creates a database for the user of the tests.
func (s server) ownerClause() string {
	parsed, err := url.Parse(s.url)
	if err != nil || s.url == s.admin {
		return ""
	}
	return " OWNER " + pgx.Identifier{parsed.User.Username()}.Sanitize()
}

func dropDatabase(t testing.TB, address, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Errorf("drop the test's database: %v", err)
		return
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
		t.Errorf("drop the test's database: %v", err)
	}
}

// prepare creates the template unless it exists, and returns the name of its database. An advisory lock makes one test
// binary create the template. The template flag of the database means that it is complete.
func (m Template) prepare(t testing.TB, admin *pgx.Conn, s server) string {
	t.Helper()
	name := m.database()
	lock := fnv.New64a()
	lock.Write([]byte(name))
	key := int64(lock.Sum64())
	if _, err := admin.Exec(t.Context(), "SELECT pg_advisory_lock($1)", key); err != nil {
		t.Fatalf("lock template %q: %v", m.Name, err)
	}

	var complete bool
	const find = "SELECT coalesce((SELECT datistemplate FROM pg_database WHERE datname = $1), false)"
	if err := admin.QueryRow(t.Context(), find, name).Scan(&complete); err != nil {
		t.Fatalf("find template %q: %v", m.Name, err)
	}
	if !complete {
		if err := m.create(t.Context(), admin, name, s.ownerClause(), withDatabase(t, s.url, name)); err != nil {
			t.Fatalf("create template %q: %v", m.Name, err)
		}
	}
	// If the unlock fails, the lock ends with the connection.
	if _, err := admin.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", key); err != nil {
		t.Fatalf("unlock template %q: %v", m.Name, err)
	}
	return name
}

func (m Template) create(ctx context.Context, admin *pgx.Conn, name, ownerClause, at string) error {
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name + ownerClause,
	} {
		if _, err := admin.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := m.Migrate(ctx, at); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	_, err := admin.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}

// database returns the name of the template's database.
func (m Template) database() string {
	version := m.Version
	if version == "" {
		version = currentRun().base
	}
	sum := sha256.Sum256([]byte(m.Name + "\x00" + version))
	return "attune_template_" + hex.EncodeToString(sum[:8])
}

// databaseName contains a part of the test's name, for a person who lists the databases.
func databaseName(test string) string {
	return "test_" + sanitize(test, 30) + "_" + strings.ToLower(rand.Text()[:10])
}

// sanitize keeps lower-case letters and digits, replaces all other characters by "_", and cuts the name to limit bytes.
func sanitize(name string, limit int) string {
	name = strings.Map(func(r rune) rune {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return '_'
		}
		return r
	}, strings.ToLower(name))
	return name[:min(len(name), limit)]
}

func withDatabase(t testing.TB, server, name string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		t.Fatalf("%s must be an address like postgres://user@host:5432/postgres, not %q", postgresVariable, server)
	}
	u.Path = "/" + name
	return u.String()
}
