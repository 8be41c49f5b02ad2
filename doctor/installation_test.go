package doctor

import (
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/workflows"
)

func TestInstallation(t *testing.T) {
	t.Parallel()
	address, name := testenv.Temporal(t)
	c := testenv.Dial(t, address, name)
	database := attune.Installation{ID: "one", Watermark: 3}
	check := Installation(
		func(context.Context) (attune.Installation, error) { return database, nil },
		TemporalServer{Client: c, Namespace: name}.owner,
	)
	require.Contains(t, check.run(t.Context())[0].What, "No installation owns the namespace")

	take(t, c, name, "one")
	require.Equal(t, []Finding{{Severity: OK, What: "Database and namespace belong to installation one."}}, check.run(t.Context()))

	take(t, c, name, "two")
	findings := check.run(t.Context())
	require.Equal(t, Problem, findings[0].Severity)
	require.Contains(t, findings[0].What, "belongs to installation two")
	require.Contains(t, findings[0].Do, "TEMPORAL_NAMESPACE")
}

func TestQueueProblems(t *testing.T) {
	t.Parallel()
	address, name := testenv.Temporal(t)
	c := testenv.Dial(t, address, name)
	start := func(id string, memo workflows.QueueMemo) {
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: id, TaskQueue: "none", Memo: map[string]any{workflows.MemoQueue: memo},
		}, workflows.ActionQueueWorkflowName)
		require.NoError(t, err)
	}
	check := QueueProblems(TemporalServer{Client: c, Namespace: name}.problems)
	start("queue/fine", workflows.QueueMemo{Limit: 1})
	start("queue/stuck", workflows.QueueMemo{Limit: 1, Problem: "decisions cannot be recorded: the disk is full"})
	require.Eventually(t, func() bool {
		findings := check.run(t.Context())
		return findings[0].Where == "workflow queue/stuck" && findings[0].Severity == Problem && len(findings) == 1
	}, timeout, tick)
}

func TestInstallation_Restored(t *testing.T) {
	t.Parallel()
	check := Installation(
		func(context.Context) (attune.Installation, error) {
			return attune.Installation{ID: "one", Watermark: 3}, nil
		},
		func(context.Context) (attune.Installation, error) {
			return attune.Installation{ID: "one", Watermark: 7}, nil
		},
	)
	findings := check.run(t.Context())
	require.Equal(t, Problem, findings[0].Severity)
	require.Equal(t, "The database was restored to an earlier time: its watermark is 3, after 7.", findings[0].What)
}

// freshDatabase is a database that was never used.
type freshDatabase attune.InstallationID

func (d freshDatabase) Installation(context.Context) (attune.Installation, error) {
	return attune.Installation{ID: attune.InstallationID(d)}, nil
}

func (d freshDatabase) RenewInstallation(ctx context.Context, _ attune.InstallationID) (attune.Installation, error) {
	return d.Installation(ctx)
}

func (freshDatabase) Exclusively(ctx context.Context, do func(context.Context) error) error {
	return do(ctx)
}

func take(t *testing.T, c client.Client, namespace string, database freshDatabase) {
	t.Helper()
	_, err := workflows.TakeNamespace(t.Context(), c, namespace, database, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
}
