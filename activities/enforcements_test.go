package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/activities"
	"github.com/attune-go/attune/workflows"
)

// fakeRequests creates execution 7 for every grant, unless err is set.
type fakeRequests struct{ err error }

func (f fakeRequests) Request(context.Context, attune.QueueKey, attune.Grant) (attune.ExecutionRequest, error) {
	return attune.ExecutionRequest{Message: &attune.ExecutionRequestedMessage{Execution: 7}}, f.err
}

// fakePublisher publishes nothing and returns err.
type fakePublisher struct{ err error }

func (f fakePublisher) Publish(context.Context, ...attune.Message) error { return f.err }

func TestEnforcementActivities_RequestExecution(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		requestErr, publishErr error
		final                  bool
	}{
		"a broker that is down is tried again": {
			publishErr: attune.Errorf(attune.CodeUnavailable, "the broker does not answer")},
		"a pool queue with other settings is tried again: the execution holds its slot": {
			publishErr: attune.Errorf(attune.CodeConflict, "the queue exists on the broker with other settings")},
		"a message that the broker refuses is tried again: the execution holds its slot": {
			publishErr: attune.Errorf(attune.CodeInvalid, "the message is too large")},
		"a database that is down is tried again": {
			requestErr: attune.Errorf(attune.CodeUnavailable, "the database does not answer")},
		"a grant that the rows refuse is final: there is no execution": {
			requestErr: attune.Errorf(attune.CodeInvalid, "no such enforcement"), final: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := activities.NewEnforcementActivities(nil, fakeRequests{tt.requestErr}, fakePublisher{tt.publishErr}, nil)
			_, err := a.RequestExecution(t.Context(), workflows.RequestInput{Queue: "demo.deploy"})
			var application *temporal.ApplicationError
			require.ErrorAs(t, err, &application)
			require.Equal(t, tt.final, application.NonRetryable(), "%v", err)
		})
	}

	t.Run("a published execution is returned", func(t *testing.T) {
		t.Parallel()
		result, err := activities.NewEnforcementActivities(nil, fakeRequests{}, fakePublisher{}, nil).
			RequestExecution(t.Context(), workflows.RequestInput{Queue: "demo.deploy"})
		require.NoError(t, err)
		require.Equal(t, workflows.RequestResult{Execution: 7}, result)
	})
}
