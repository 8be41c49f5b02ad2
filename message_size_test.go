package attune_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestMaxRequestBody signs the largest legal claim and renewal: a worker with many attempts must be able to renew them.
func TestMaxRequestBody(t *testing.T) {
	t.Parallel()
	installation := attune.InstallationID("00000000-0000-0000-0000-000000000000")
	worker, pool := strings.Repeat("<", attune.MaxWorkerName), strings.Repeat("p", 200)
	renewal := attune.ExecutionRenewMessage{Worker: worker, Serial: math.MaxInt64, Pool: pool}
	for range attune.MaxRenewed {
		renewal.Attempts = append(renewal.Attempts, attune.AttemptID{
			Installation: installation, Execution: math.MaxInt64, Attempt: math.MaxInt64,
		})
	}
	requireSize(t, renewal)
	requireSize(t, attune.ExecutionClaimMessage{
		Installation: installation, Execution: math.MaxInt64, Attempt: math.MaxInt64, Worker: worker, Serial: math.MaxInt64,
		ReplyKey: bytes.Repeat([]byte{9}, 32), Pool: pool,
	})

	renewal.Key, renewal.Attempts = attune.WorkerKey{1}, append(renewal.Attempts, renewal.Attempts[0])
	err := renewal.Validate()
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	require.ErrorContains(t, err, "send at most 250")
}

// requireSize signs a message, and requires that its body is below the bound of the bridge, and more than the smallest part of it.
func requireSize[M attune.WorkerMessage[M]](t *testing.T, message M) {
	t.Helper()
	signed, err := attune.Sign(newKey(t), message)
	require.NoError(t, err)
	body, err := json.Marshal(signed)
	require.NoError(t, err)
	require.Less(t, len(body), attune.MaxRequestBody)
}
