package workflows_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// fakeWatermark is a database whose watermarks are given.
type fakeWatermark struct{ watermarks chan int64 }

func (f fakeWatermark) RaiseWatermark(ctx context.Context, _ attune.InstallationID) (int64, error) {
	select {
	case watermark := <-f.watermarks:
		return watermark, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func TestWatermark(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)

	t.Run("Temporal remembers the watermark, and a lower one shows a restored database", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, workflows.TakeNamespace(t.Context(), c, namespace, "one", log))
		w := worker.New(c, workflows.QueueTaskQueue, worker.Options{})
		workflows.Register(w)
		require.NoError(t, w.Start())
		defer w.Stop()
		database := fakeWatermark{make(chan int64, 1)}
		database.watermarks <- 7
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- workflows.NewWatermark(database, c, "one", log).Run(ctx) }()
		require.Eventually(t, func() bool {
			owner, err := workflows.Owner(t.Context(), c, namespace)
			require.NoError(t, err)
			return owner == attune.Installation{ID: "one", Watermark: 7}
		}, time.Minute, 50*time.Millisecond)
		stop()
		require.NoError(t, <-ended)
		for installation, restored := range map[attune.Installation]bool{
			{ID: "one", Watermark: 6}: true, {ID: "one", Watermark: 7}: false, {ID: "one", Watermark: 8}: false,
			{ID: "two", Watermark: 1}: false,
		} {
			got, err := workflows.Restored(t.Context(), c, namespace, installation)
			require.NoError(t, err)
			require.Equal(t, restored, got, "%+v", installation)
		}
	})

	t.Run("a database of another installation ends the process", func(t *testing.T) {
		t.Parallel()
		c, _ := dialNamespace(t)
		err := workflows.NewWatermark(otherDatabase{}, c, "one", log).Run(t.Context())
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err))
	})
}

// otherDatabase belongs to another installation.
type otherDatabase struct{}

func (otherDatabase) RaiseWatermark(context.Context, attune.InstallationID) (int64, error) {
	return 0, attune.Errorf(attune.CodeConflict, "the database belongs to another installation")
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
