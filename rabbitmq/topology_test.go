package rabbitmq_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

func TestDeclare(t *testing.T) {
	t.Parallel()

	t.Run("a repeated declaration changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, 1)
		require.NoError(t, rabbitmq.Declare(t.Context(), b.conn, topology(t)))
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 1)
	})

	t.Run("a queue with other settings is named", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		other, err := rabbitmq.NewTopology("default") // with the real retry delay
		require.NoError(t, err)
		err = rabbitmq.Declare(t.Context(), b.conn, other)
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
		require.ErrorContains(t, err, `queue "attune.retry.enforcement.created" exists on the broker with other settings`)
		require.ErrorContains(t, err, "delete it")
		require.ErrorContains(t, err, "x-message-ttl")
		require.NoError(t, b.conn.Ping(t.Context()), "the connection survives")
	})

	t.Run("the declaration is repeated when the broker comes back empty", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		conn := b.connect(t, address)
		require.NoError(t, rabbitmq.Declare(t.Context(), conn, topology(t)))
		_, err := b.raw(t).QueueDelete(rabbitmq.QueueEnforcementCreated, false, false, false)
		require.NoError(t, err)
		_, err = rabbitmq.Inspect(t.Context(), b.conn, rabbitmq.QueueEnforcementCreated)
		require.Equal(t, attune.CodeNotFound, attune.CodeOf(err))
		proxy.Cut()
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	})
}

func TestNewTopology(t *testing.T) {
	t.Parallel()

	t.Run("every routing key has one queue", func(t *testing.T) {
		t.Parallel()
		topology, err := rabbitmq.NewTopology("gpu", "default", "gpu")
		require.NoError(t, err)
		bound := map[string]string{}
		for _, binding := range topology.Bindings {
			if binding.Exchange != rabbitmq.DeadExchange {
				require.NotContains(t, bound, binding.Key)
				require.Equal(t, rabbitmq.ExchangeOf(binding.Key), binding.Exchange)
				bound[binding.Key] = binding.Queue
			}
		}
		require.Equal(t, map[string]string{
			"enforcement.created":         "attune.enforcement.created",
			"execution.completed.*":       "attune.execution.completed",
			"execution.ended":             "attune.execution.ended",
			"execution.claim.*":           "attune.execution.claim",
			"execution.renew.*":           "attune.execution.renew",
			"execution.requested.default": "attune.execution.requested.default",
			"execution.requested.gpu":     "attune.execution.requested.gpu",
		}, bound)
	})

	t.Run("the dead-letter queue is bounded, and its letters are not refused", func(t *testing.T) {
		t.Parallel()
		topology, err := rabbitmq.NewTopology()
		require.NoError(t, err)
		i := slices.IndexFunc(topology.Queues, func(q rabbitmq.QueueSpec) bool { return q.Name == rabbitmq.QueueDead })
		arguments := topology.Queues[i].Arguments
		require.EqualValues(t, rabbitmq.MaxDeadLetters, arguments["x-max-length"])
		require.EqualValues(t, 256<<20, arguments["x-max-length-bytes"])
		require.Equal(t, "drop-head", arguments["x-overflow"], "a queue that refuses letters would keep them in the other queues")
	})

	t.Run("the queues that workers write to are bounded, and refuse messages above that", func(t *testing.T) {
		t.Parallel()
		topology, err := rabbitmq.NewTopology()
		require.NoError(t, err)
		for name, bytes := range map[string]int{
			rabbitmq.QueueExecutionClaim: 64 << 20, rabbitmq.QueueExecutionRenew: 64 << 20, rabbitmq.QueueExecutionCompleted: 1 << 30,
		} {
			i := slices.IndexFunc(topology.Queues, func(q rabbitmq.QueueSpec) bool { return q.Name == name })
			arguments := topology.Queues[i].Arguments
			require.EqualValues(t, bytes, arguments["x-max-length-bytes"])
			require.EqualValues(t, 20, arguments["x-delivery-limit"])
			require.Equal(t, "reject-publish", arguments["x-overflow"], "a queue that drops messages would lose those of honest workers")
		}
	})

	t.Run("a pool name with a wildcard is refused", func(t *testing.T) {
		t.Parallel()
		_, err := rabbitmq.NewTopology("#")
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.ErrorContains(t, err, `pool name "#"`)
	})
}
