package workflows_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/workflows"
)

func TestTakeNamespace(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)

	t.Run("a namespace is taken once and stays taken", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		for range 2 {
			require.NoError(t, workflows.TakeNamespace(t.Context(), c, namespace, "one", log))
			owner, err := workflows.Owner(t.Context(), c, namespace)
			require.NoError(t, err)
			require.EqualValues(t, "one", owner.ID)
		}
	})

	t.Run("another installation whose processes poll keeps its namespace", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, workflows.TakeNamespace(t.Context(), c, namespace, "one", log))
		w := worker.New(c, workflows.QueueTaskQueue, worker.Options{Identity: workflows.Identity("one", "a-process")})
		workflows.Register(w)
		require.NoError(t, w.Start())
		defer w.Stop()
		err := workflows.TakeNamespace(t.Context(), c, namespace, "two", log)
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "another installation of attune (one)")
		require.ErrorContains(t, err, "TEMPORAL_NAMESPACE")
	})

	t.Run("the workflows of a stopped installation are terminated", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, workflows.TakeNamespace(t.Context(), c, namespace, "one", log))
		queues := workflows.NewQueueClient(c)
		require.NoError(t, queues.SetPolicy(t.Context(), queueKey, attune.QueuePolicy{Revision: 1}))
		began := time.Now()
		require.NoError(t, workflows.TakeNamespace(t.Context(), c, namespace, "two", log)) // after 75 s: the other installation had just taken it
		require.Greater(t, time.Since(began), time.Minute, "an installation that has just taken it may be about to poll")
		owner, err := workflows.Owner(t.Context(), c, namespace)
		require.NoError(t, err)
		require.EqualValues(t, "two", owner.ID)
		description, err := c.DescribeWorkflowExecution(t.Context(), workflows.QueueWorkflowID(queueKey), "")
		require.NoError(t, err)
		require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, description.GetWorkflowExecutionInfo().GetStatus())
	})
}

func dialNamespace(t *testing.T) (client.Client, string) {
	t.Helper()
	address, namespace := testenv.Temporal(t)
	return testenv.Dial(t, address, namespace), namespace
}
