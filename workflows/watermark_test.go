package workflows_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// ownNamespace returns a new namespace that installation "one" owns, with its database.
func ownNamespace(t *testing.T) (c client.Client, namespace string, database *fakeDatabase) {
	t.Helper()
	c, namespace = dialNamespace(t)
	database = newDatabase("one")
	require.NoError(t, take(t, c, namespace, database))
	return c, namespace, database
}

// runWatermark runs the watermark of installation "one" until ctx ends or the process must stop.
func runWatermark(ctx context.Context, c client.Client, namespace string, database *fakeDatabase) error {
	return workflows.NewWatermark(database, c, namespace, "one", slog.New(slog.DiscardHandler)).Run(ctx)
}

// raise runs the watermark of installation "one" until the database has the watermark.
func raise(t *testing.T, c client.Client, namespace string, database *fakeDatabase, watermark int64) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- runWatermark(ctx, c, namespace, database) }()
	want := attune.Installation{ID: "one", Watermark: watermark}
	require.Eventually(t, func() bool {
		owner, err := workflows.Owner(t.Context(), c, namespace)
		return err == nil && owner == want
	}, time.Minute, 20*time.Millisecond)
	stop()
	require.NoError(t, <-ended)
	current, err := database.Installation(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, current)
}

func TestWatermark(t *testing.T) {
	t.Parallel()

	t.Run("every process raises it, and Temporal remembers it without a temporal worker", func(t *testing.T) {
		t.Parallel()
		c, namespace, database := ownNamespace(t)
		for n := range int64(3) {
			raise(t, c, namespace, database, n+1)
		}
	})

	t.Run("a restored database ends every process, and keeps its watermark as the proof", func(t *testing.T) {
		t.Parallel()
		c, namespace, database := ownNamespace(t)
		raise(t, c, namespace, database, 1)
		raise(t, c, namespace, database, 2)
		earlier := attune.Installation{ID: "one", Watermark: 1}
		database.set(earlier)
		for range 3 {
			err := runWatermark(t.Context(), c, namespace, database)
			require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
			current, err := database.Installation(t.Context())
			require.NoError(t, err)
			require.Equal(t, earlier, current)
		}
	})

	t.Run("a process ends when another installation has taken the namespace", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, take(t, c, namespace, newDatabase("two")))
		err := runWatermark(t.Context(), c, namespace, newDatabase("one"))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
		require.ErrorContains(t, err, "installation two")
		requireOwner(t, c, namespace, attune.Installation{ID: "two"})
	})

	t.Run("the workflow that remembers starts again after a person has ended it", func(t *testing.T) {
		t.Parallel()
		c, namespace, database := ownNamespace(t)
		raise(t, c, namespace, database, 1)
		require.NoError(t, c.TerminateWorkflow(t.Context(), workflows.InstallationWorkflowID, "", "by a person"))
		raise(t, c, namespace, database, 1)
		raise(t, c, namespace, database, 2)
	})

	t.Run("signals of another installation, or without a watermark, change nothing", func(t *testing.T) {
		t.Parallel()
		c, namespace, database := ownNamespace(t)
		raise(t, c, namespace, database, 1)
		for _, payload := range []any{workflows.WatermarkSignal{Installation: "two", Watermark: 9}, "nonsense", nil, 7} {
			require.NoError(t, c.SignalWorkflow(t.Context(), workflows.InstallationWorkflowID, "", workflows.SignalWatermark, payload))
		}
		requireOwner(t, c, namespace, attune.Installation{ID: "one", Watermark: 1})
		w := worker.New(c, workflows.QueueTaskQueue, worker.Options{})
		workflows.Register(w)
		require.NoError(t, w.Start())
		defer w.Stop()
		raise(t, c, namespace, database, 2)
	})
}

func TestInstallationWorkflow_ContinuesAsNew(t *testing.T) {
	t.Parallel()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	workflows.Register(env)
	env.SetContinueAsNewSuggested(true)
	env.ExecuteWorkflow(workflows.InstallationWorkflowName, workflows.InstallationInput{Installation: "one", Watermark: 9})
	var next *workflow.ContinueAsNewError
	require.ErrorAs(t, env.GetWorkflowError(), &next)
	var input workflows.InstallationInput
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &input))
	require.Equal(t, workflows.InstallationInput{Installation: "one", Watermark: 9}, input)
}
