package testenv_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

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
