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

// existing is the address of a service that runs already: from the tests' own variable, or from the one attune itself reads.
func existing(variable string) string {
	general := strings.Replace(variable, "ATTUNE_TEST_TEMPORAL_", "TEMPORAL_", 1)
	general = strings.Replace(general, "ATTUNE_TEST_", "ATTUNE_", 1)
	return cmp.Or(os.Getenv(variable), os.Getenv(general))
}

// Template is a database that is made once per run and then copied for every test, which takes milliseconds.
type Template struct {
	// Name tells templates apart; two with one name must be the same.
	Name string
	// Version changes when what Migrate does changes, for instance a hash of the migration files. It matters only on a
	// server that outlives the run (ATTUNE_TEST_POSTGRES_URL): there a template is used again by later runs. Without
	// it every run makes its own.
	Version string
	// Migrate fills the database at url. It must leave no connection open.
	Migrate func(ctx context.Context, url string) error
}

// Postgres returns the address of a database of the test's own: a copy of the template, or empty without one. It is
// dropped when the test ends, with the connections that are open. Its user owns it and is no superuser, unless the tests
// were given a server: then its user is the one in the server's address.
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

// CopyPostgres returns the address of one more database of the test's own: a copy of the one at address as it is now. No process
// may be connected to that one.
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

// create makes a database as a copy of another one, and drops it when the test ends.
func (s server) create(t testing.TB, admin *pgx.Conn, source string) (address string) {
	t.Helper()
	name := databaseName(t.Name())
	if _, err := admin.Exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+source+s.owned()); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
	t.Cleanup(func() { dropDatabase(t, s.admin, name) })
	return withDatabase(t, s.url, name)
}

// server is a PostgreSQL server, with the addresses of the user whose databases tests get and of a user who may create
// databases. A server that the tests were given has one address for both.
type server struct{ url, admin string }

func postgresServer(t testing.TB) server {
	t.Helper()
	if given := existing(postgresVariable); given != "" {
		return server{url: given, admin: given}
	}
	shared := ask(t, "postgres")
	return server{url: shared.URL, admin: shared.Admin}
}

// owned ends the statement that creates a database: it belongs to the user of the tests.
func (s server) owned() string {
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

// prepare makes the template unless it is there, and returns its name. The advisory lock makes one test binary of all
// that run do it, the mark as a template says that it is complete.
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
		t.Fatalf("look for template %q: %v", m.Name, err)
	}
	if !complete {
		if err := m.make(t.Context(), admin, name, s.owned(), withDatabase(t, s.url, name)); err != nil {
			t.Fatalf("make template %q: %v", m.Name, err)
		}
	}
	// After a failure the lock ends with the connection.
	if _, err := admin.Exec(t.Context(), "SELECT pg_advisory_unlock($1)", key); err != nil {
		t.Fatalf("unlock template %q: %v", m.Name, err)
	}
	return name
}

func (m Template) make(ctx context.Context, admin *pgx.Conn, name, owned, at string) error {
	for _, statement := range []string{
		"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name + owned,
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

// database is the name of the template's database.
func (m Template) database() string {
	version := m.Version
	if version == "" {
		version = currentRun().base
	}
	sum := sha256.Sum256([]byte(m.Name + "\x00" + version))
	return "attune_template_" + hex.EncodeToString(sum[:8])
}

// databaseName carries enough of the test's name to recognize it in a list.
func databaseName(test string) string {
	return "test_" + plain(test, 30) + "_" + strings.ToLower(rand.Text()[:10])
}

// plain keeps lower-case letters and digits, at most limit of them, and turns everything else into "_".
func plain(name string, limit int) string {
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
