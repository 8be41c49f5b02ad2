package testenv_test

import (
	"context"
	"net/url"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
)

// things is a template with one empty table.
func things() testenv.Template {
	return testenv.Template{Name: "things", Migrate: func(ctx context.Context, url string) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE things (name text)")
		return err
	}}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

func TestPostgres(t *testing.T) {
	t.Parallel()

	for range 3 {
		t.Run("each test has its own copy", func(t *testing.T) {
			t.Parallel()
			conn := connect(t, testenv.Postgres(t, things()))
			_, err := conn.Exec(t.Context(), "INSERT INTO things VALUES ('mine')")
			require.NoError(t, err)
			var count int
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&count))
			require.Equal(t, 1, count)
		})
	}

	t.Run("a database belongs to a user who is no superuser", func(t *testing.T) {
		t.Parallel()
		if os.Getenv("ATTUNE_TEST_POSTGRES_URL")+os.Getenv("ATTUNE_POSTGRES_URL") != "" {
			t.Skip("the tests were given a server with a user")
		}
		conn := connect(t, testenv.Postgres(t, things()))
		var super bool
		require.NoError(t, conn.QueryRow(t.Context(), "SELECT rolsuper FROM pg_roles WHERE rolname = current_user").Scan(&super))
		require.False(t, super)
		_, err := conn.Exec(t.Context(), "DROP TABLE things")
		require.NoError(t, err)
	})

	t.Run("a database is dropped with open connections", func(t *testing.T) {
		t.Parallel()
		var conn *pgx.Conn
		t.Run("a test uses a database", func(t *testing.T) {
			var err error
			conn, err = pgx.Connect(t.Context(), testenv.Postgres(t))
			require.NoError(t, err)
		})
		require.Error(t, conn.Ping(t.Context()))
	})
}

func TestPostgres_External(t *testing.T) {
	set := testenv.Own(t, services.Config{Postgres: &services.PostgresConfig{}})
	server, err := url.Parse(set.Postgres.AdminURL())
	require.NoError(t, err)
	t.Setenv("ATTUNE_TEST_POSTGRES_URL", server.String())
	migrations := 0
	counted := testenv.Template{Name: "counted", Version: "1", Migrate: func(context.Context, string) error {
		migrations++
		return nil
	}}
	for range 2 {
		require.Contains(t, testenv.Postgres(t, counted), "@"+server.Host+"/test_")
	}
	require.Equal(t, 1, migrations)

	require.NoError(t, set.Postgres.Kill())
	require.NoError(t, set.Postgres.Restart(t.Context()))
	testenv.Postgres(t, counted)
	require.Equal(t, 1, migrations, "a template outlives the server's crash")
}

func TestAMQP(t *testing.T) {
	t.Parallel()
	var address string
	t.Cleanup(func() { // runs after the cleanup of the subtest
		_, err := amqp.Dial(address)
		require.ErrorContains(t, err, "vhost", "the vhost is deleted with its test")
	})

	t.Run("a vhost is empty", func(t *testing.T) {
		t.Parallel()
		address = testenv.AMQP(t)
		conn, err := amqp.Dial(address)
		require.NoError(t, err)
		channel, err := conn.Channel()
		require.NoError(t, err)
		_, err = channel.QueueDeclare("mine", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		require.NoError(t, err)
	})
}

func TestTemporal(t *testing.T) {
	t.Parallel()
	depth := temporal.NewSearchAttributeKeyInt64("Depth")

	for range 3 {
		t.Run("a workflow runs at once", func(t *testing.T) {
			t.Parallel()
			c := testenv.TemporalClient(t, testenv.SearchAttribute{Name: depth.GetName(), Type: enumspb.INDEXED_VALUE_TYPE_INT})
			w := worker.New(c, "queue", worker.Options{})
			w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
				return "done", workflow.UpsertTypedSearchAttributes(ctx, depth.ValueSet(7))
			}, workflow.RegisterOptions{Name: "Hello"})
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)

			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "queue"}, "Hello")
			require.NoError(t, err)
			var answer string
			require.NoError(t, run.Get(t.Context(), &answer))
			require.Equal(t, "done", answer)
		})
	}
}
