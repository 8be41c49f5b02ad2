package services

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

func TestTemporal(t *testing.T) {
	t.Parallel()

	setup := func(t *testing.T, config TemporalConfig) *Temporal {
		t.Helper()
		config.Dir = serviceDir(t)
		server, err := StartTemporal(t.Context(), config)
		require.NoError(t, err)
		stopAtEnd(t, server.Stop)
		return server
	}
	dial := func(t *testing.T, server *Temporal) client.Client {
		t.Helper()
		c, err := client.NewLazyClient(client.Options{HostPort: server.Address(), Logger: discard()})
		require.NoError(t, err)
		t.Cleanup(c.Close)
		return c
	}
	begin := func(t *testing.T, server *Temporal) {
		t.Helper()
		options := client.StartWorkflowOptions{ID: "kept", TaskQueue: "unserved"}
		_, err := dial(t, server).ExecuteWorkflow(t.Context(), options, "Kept")
		require.NoError(t, err)
	}
	requireKept := func(t *testing.T, server *Temporal) {
		t.Helper()
		found, err := dial(t, server).DescribeWorkflowExecution(t.Context(), "kept", "")
		require.NoError(t, err)
		require.Equal(t, "Kept", found.GetWorkflowExecutionInfo().GetType().GetName())
	}

	t.Run("workflows survive a restart", func(t *testing.T) {
		t.Parallel()
		server := setup(t, TemporalConfig{})
		address := server.Address()
		begin(t, server)
		require.NoError(t, server.Restart(t.Context()))
		require.Equal(t, address, server.Address())
		requireKept(t, server)
	})

	t.Run("workflows survive a kill", func(t *testing.T) {
		t.Parallel()
		server := setup(t, TemporalConfig{})
		begin(t, server)
		require.NoError(t, server.Kill())
		require.Empty(t, processesOf(t, server.config.Dir))
		require.NoError(t, server.Restart(t.Context()))
		requireKept(t, server)
	})

	t.Run("the web interface and the search attributes exist", func(t *testing.T) {
		t.Parallel()
		server := setup(t, TemporalConfig{
			InMemory: true, UI: true, SearchAttributes: map[string]string{"QueueDepth": "Int"},
		})
		page, err := http.Get(server.UIURL())
		require.NoError(t, err)
		require.NoError(t, page.Body.Close())
		require.Equal(t, http.StatusOK, page.StatusCode)

		count := &workflowservice.CountWorkflowExecutionsRequest{Namespace: "default", Query: "QueueDepth > 1"}
		_, err = dial(t, server).CountWorkflow(t.Context(), count)
		require.NoError(t, err)
	})
}
