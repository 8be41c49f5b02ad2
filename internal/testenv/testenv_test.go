package testenv_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// things is a template with one table.
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

func TestPostgres(t *testing.T) {
	t.Parallel()

	for range 3 {
		t.Run("EachTestHasItsOwnCopy", func(t *testing.T) {
			t.Parallel()
			conn, err := pgx.Connect(t.Context(), testenv.Postgres(t, things()))
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })

			_, err = conn.Exec(t.Context(), "INSERT INTO things VALUES ('mine')")
			require.NoError(t, err)
			var count int
			require.NoError(t, conn.QueryRow(t.Context(), "SELECT count(*) FROM things").Scan(&count))
			require.Equal(t, 1, count)
		})
	}

	t.Run("IsDroppedWithConnectionsOpen", func(t *testing.T) {
		t.Parallel()
		var conn *pgx.Conn
		t.Run("Inner", func(t *testing.T) {
			var err error
			conn, err = pgx.Connect(t.Context(), testenv.Postgres(t))
			require.NoError(t, err)
		})
		require.Error(t, conn.Ping(t.Context()))
	})
}

func TestAMQP(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("IsAnEmptyVhost", func(t *testing.T) {
		url = testenv.AMQP(t)
		conn, err := amqp.Dial(url)
		require.NoError(t, err)
		channel, err := conn.Channel()
		require.NoError(t, err)
		_, err = channel.QueueDeclare("mine", true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
		require.NoError(t, err)
	})
	_, err := amqp.Dial(url)
	require.ErrorContains(t, err, "vhost", "the vhost is gone with its test")
}

func TestTemporal(t *testing.T) {
	t.Parallel()
	for range 3 {
		t.Run("AWorkflowRunsAtOnce", func(t *testing.T) {
			t.Parallel()
			at := time.Now()
			c := testenv.TemporalClient(t, testenv.SearchAttribute{Name: "Depth", Type: enumspb.INDEXED_VALUE_TYPE_INT})
			t.Log("namespace", time.Since(at))
			at = time.Now()
			w := worker.New(c, "queue", worker.Options{})
			depth := temporal.NewSearchAttributeKeyInt64("Depth")
			w.RegisterWorkflowWithOptions(func(ctx workflow.Context) (string, error) {
				return "done", workflow.UpsertTypedSearchAttributes(ctx, depth.ValueSet(7))
			}, workflow.RegisterOptions{Name: "Hello"})
			require.NoError(t, w.Start())
			t.Cleanup(w.Stop)

			run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "queue"}, "Hello")
			require.NoError(t, err)
			t.Log("started", time.Since(at))
			var answer string
			require.NoError(t, run.Get(t.Context(), &answer))
			t.Log("result", time.Since(at))
			require.Equal(t, "done", answer)
		})
	}
}
