package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/workflows"
)

func TestVisibility(t *testing.T) {
	t.Parallel()

	t.Run("people find workflows by queue and by action", func(t *testing.T) {
		t.Parallel()
		address, namespace := testenv.Temporal(t)
		c := testenv.Dial(t, address, namespace)
		require.NoError(t, workflows.EnsureAttributes(t.Context(), c, namespace))
		require.NoError(t, workflows.EnsureAttributes(t.Context(), c, namespace), "nothing to do the second time")
		s := setupStage(t, &stage{world: newWorld(2), client: c, marked: true})
		s.acquire(t, 3)
		for _, attribute := range workflows.Attributes() {
			s.eventually(t, "queue and enforcements are found by "+attribute, func() bool {
				found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
					Namespace: namespace, Query: attribute + " = 'test.deploy'",
				})
				return err == nil && found.GetCount() == 4
			})
		}
	})

	for _, attribute := range workflows.Attributes() {
		t.Run("an attribute of another type is refused: "+attribute, func(t *testing.T) {
			t.Parallel()
			address, namespace := testenv.Temporal(t, testenv.SearchAttribute{
				Name: attribute, Type: enumspb.INDEXED_VALUE_TYPE_INT,
			})
			err := workflows.EnsureAttributes(t.Context(), testenv.Dial(t, address, namespace), namespace)
			require.Equal(t, attune.CodeConflict, attune.CodeOf(err), "%v", err)
			require.ErrorContains(t, err, attribute)
		})
	}

	t.Run("the memo of a queue has its mode and limit in every run", func(t *testing.T) {
		t.Parallel()
		s := setup(t, 2)
		s.acquire(t, 1)
		s.remembers(t, workflows.QueueMemo{Mode: attune.QueueOpen, Limit: 2})
		_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", ""))
		require.NoError(t, err)
		s.remembers(t, workflows.QueueMemo{Mode: attune.QueuePaused, Limit: 2})
		first := s.runID(t, workflows.QueueWorkflowID(queueKey))
		require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
		s.eventually(t, "a new run, although nothing else happens", func() bool {
			return s.runID(t, workflows.QueueWorkflowID(queueKey)) != first
		})
		s.remembers(t, workflows.QueueMemo{Mode: attune.QueuePaused, Limit: 2})
	})
}

func (s *stage) remembers(t *testing.T, want workflows.QueueMemo) {
	t.Helper()
	s.eventually(t, "the memo is right", func() bool {
		description, err := s.client.DescribeWorkflowExecution(t.Context(), workflows.QueueWorkflowID(queueKey), "")
		require.NoError(t, err)
		payload := description.GetWorkflowExecutionInfo().GetMemo().GetFields()[workflows.MemoQueue]
		var memo workflows.QueueMemo
		return payload != nil && converter.GetDefaultDataConverter().FromPayload(payload, &memo) == nil && memo == want
	})
}
