package workflows_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"golang.org/x/sync/errgroup"

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
			require.NoError(t, take(t, c, namespace, newDatabase("one")))
			requireOwner(t, c, namespace, attune.Installation{ID: "one"})
		}
	})

	t.Run("another installation whose processes poll keeps its namespace", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, take(t, c, namespace, newDatabase("one")))
		w := worker.New(c, workflows.QueueTaskQueue, worker.Options{Identity: workflows.Identity("one", "a-process")})
		workflows.Register(w)
		require.NoError(t, w.Start())
		defer w.Stop()
		err := take(t, c, namespace, newDatabase("two"))
		require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "%v", err)
		require.ErrorContains(t, err, "another installation of attune (one)")
		require.ErrorContains(t, err, "TEMPORAL_NAMESPACE")
	})

	t.Run("processes of a new database that start together end the workflows of a stopped installation once", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		require.NoError(t, take(t, c, namespace, newDatabase("one")))
		queues := workflows.NewQueueClient(c)
		require.NoError(t, queues.SetPolicy(t.Context(), queueKey, attune.QueuePolicy{Revision: 1}))
		began := time.Now()
		two := newDatabase("two")
		var processes errgroup.Group
		for n := range 3 {
			processes.Go(func() error {
				installation, err := workflows.TakeNamespace(t.Context(), c, namespace, two, log)
				if err == nil && installation == "two" {
					err = queues.SetPolicy(t.Context(), attune.QueueKey(fmt.Sprintf("of-%d", n)), attune.QueuePolicy{Revision: 1})
				}
				return err
			})
		}
		require.NoError(t, processes.Wait())
		require.Greater(t, time.Since(began), time.Minute, "an installation that has just taken it may be about to poll")
		requireOwner(t, c, namespace, attune.Installation{ID: "two"})
		require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, status(t, c, queueKey))
		for n := range 3 {
			key := attune.QueueKey(fmt.Sprintf("of-%d", n))
			require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, status(t, c, key), "the queue of process %d", n)
		}
	})

	t.Run("a used database without its namespace becomes a new installation", func(t *testing.T) {
		t.Parallel()
		c, namespace := dialNamespace(t)
		database := newDatabase("one")
		database.current.Watermark = 4
		installation, err := workflows.TakeNamespace(t.Context(), c, namespace, database, log)
		require.NoError(t, err)
		require.EqualValues(t, "one, renewed", installation)
		requireOwner(t, c, namespace, attune.Installation{ID: "one, renewed"})
	})
}

func take(t *testing.T, c client.Client, namespace string, database *fakeDatabase) error {
	t.Helper()
	_, err := workflows.TakeNamespace(t.Context(), c, namespace, database, slog.New(slog.DiscardHandler))
	return err
}

func requireOwner(t *testing.T, c client.Client, namespace string, want attune.Installation) {
	t.Helper()
	owner, err := workflows.Owner(t.Context(), c, namespace)
	require.NoError(t, err)
	require.Equal(t, want, owner)
}

func status(t *testing.T, c client.Client, key attune.QueueKey) enumspb.WorkflowExecutionStatus {
	t.Helper()
	description, err := c.DescribeWorkflowExecution(t.Context(), workflows.QueueWorkflowID(key), "")
	require.NoError(t, err)
	return description.GetWorkflowExecutionInfo().GetStatus()
}

// fakeDatabase is the installation of a database in memory.
type fakeDatabase struct {
	turn    sync.Mutex // held by the process in Exclusively
	mu      sync.Mutex // guards current
	current attune.Installation
}

func newDatabase(id attune.InstallationID) *fakeDatabase {
	return &fakeDatabase{current: attune.Installation{ID: id}}
}

func (d *fakeDatabase) set(current attune.Installation) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.current = current
}

func (d *fakeDatabase) Installation(context.Context) (attune.Installation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.current, nil
}

func (d *fakeDatabase) RenewInstallation(_ context.Context, old attune.InstallationID) (attune.Installation, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current.ID == old {
		d.current = attune.Installation{ID: old + ", renewed"}
	}
	return d.current, nil
}

func (d *fakeDatabase) Exclusively(ctx context.Context, do func(context.Context) error) error {
	d.turn.Lock()
	defer d.turn.Unlock()
	return do(ctx)
}

func (d *fakeDatabase) RaiseWatermark(_ context.Context, id attune.InstallationID, remembered int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current.ID != id || d.current.Watermark < remembered {
		return 0, attune.Errorf(attune.CodeConflict, "restored")
	}
	d.current.Watermark = max(d.current.Watermark, remembered+1)
	return d.current.Watermark, nil
}

func dialNamespace(t *testing.T) (client.Client, string) {
	t.Helper()
	address, namespace := testenv.Temporal(t)
	return testenv.Dial(t, address, namespace), namespace
}
