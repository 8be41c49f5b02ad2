package bridge_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

type claimerFunc func(claims []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error)

func (f claimerFunc) Claim(
	_ context.Context, claims []attune.ExecutionClaimMessage, _ time.Duration,
) ([]attune.ExecutionClaimReply, error) {
	return f(claims)
}

func TestClaims_Handle(t *testing.T) {
	t.Parallel()
	claim := func(installation attune.InstallationID, execution attune.ExecutionID) attune.ExecutionClaimMessage {
		return attune.ExecutionClaimMessage{Installation: installation, Execution: execution, Attempt: 1, Worker: "w"}
	}
	grantAll := claimerFunc(func(claims []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
		var replies []attune.ExecutionClaimReply
		for _, c := range claims {
			require.EqualValues(t, "one", c.Installation)
			replies = append(replies, attune.ExecutionClaimReply{Execution: c.Execution, Attempt: c.Attempt, Granted: true})
		}
		return replies, nil
	})

	t.Run("a claim of another installation is refused, and the others are answered in their order", func(t *testing.T) {
		t.Parallel()
		replies, err := bridge.NewClaims(grantAll, "one", time.Minute).Handle(t.Context(), []attune.ExecutionClaimMessage{
			claim("zero", 1), claim("one", 2), claim("zero", 2), claim("one", 3),
		})
		require.NoError(t, err)
		require.Equal(t, []attune.ExecutionClaimReply{
			{Execution: 1, Attempt: 1}, {Execution: 2, Attempt: 1, Granted: true},
			{Execution: 2, Attempt: 1}, {Execution: 3, Attempt: 1, Granted: true},
		}, replies)
	})

	t.Run("an error reaches every claim of the batch", func(t *testing.T) {
		t.Parallel()
		away := claimerFunc(func([]attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
			return nil, attune.Errorf(attune.CodeUnavailable, "away")
		})
		_, err := bridge.NewClaims(away, "one", time.Minute).Handle(t.Context(), []attune.ExecutionClaimMessage{claim("one", 1)})
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
	})
}
