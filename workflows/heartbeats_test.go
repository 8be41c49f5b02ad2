package workflows_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"

	"github.com/attune-go/attune/workflows"
)

// TestWorkerOptions_Heartbeats runs an activity that ends after its first heartbeat, although it sends none itself.
func TestWorkerOptions_Heartbeats(t *testing.T) {
	t.Parallel()
	for kind, options := range map[string]worker.Options{
		"queues": workflows.QueueWorkerOptions(), "enforcements": workflows.EnforcementWorkerOptions(),
	} {
		t.Run("an activity of "+kind+" sends heartbeats while it runs", func(t *testing.T) {
			t.Parallel()
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestActivityEnvironment()
			env.SetWorkerOptions(options)
			beaten := make(chan struct{})
			first := sync.OnceFunc(func() { close(beaten) })
			env.SetOnActivityHeartbeatListener(func(*activity.Info, converter.EncodedValues) { first() })
			long := func(context.Context) error {
				select {
				case <-beaten:
					return nil
				case <-time.After(time.Minute):
					return errors.New("no heartbeat")
				}
			}
			env.RegisterActivityWithOptions(long, activity.RegisterOptions{Name: "long"})
			_, err := env.ExecuteActivity("long")
			require.NoError(t, err)
		})
	}
}
