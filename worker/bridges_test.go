package worker_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestBridges_Flood sends forged cancels without end. The log has some of them, the count has all.
func TestBridges_Flood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		counted := 0
		bridges := worker.NewBridges(nil, func(context.Context, string, attune.Refusal) { counted++ }, slog.New(slog.NewTextHandler(&log, nil)))
		flood := func() (lines int) {
			log.Reset()
			for range 1000 {
				_, believed := bridges.Cancel(t.Context(), attune.SignedCancel{})
				require.False(t, believed)
			}
			return strings.Count(log.String(), "was not believed")
		}
		require.Equal(t, 20, flood())
		require.Zero(t, flood())
		<-time.After(3 * time.Second)
		require.Equal(t, 3, flood())
		require.Equal(t, 3000, counted)
	})
}

// TestBridges_Cancel passes cancels to a worker.
func TestBridges_Cancel(t *testing.T) {
	t.Parallel()
	newKey := func() attune.BridgeSigningKey {
		key, err := attune.ParseBridgeSigningKey(attune.NewBridgeSigningKey())
		require.NoError(t, err)
		return key
	}
	bridge, other := newKey(), newKey()
	refused := map[string]int{}
	bridges := worker.NewBridges([]attune.BridgeKey{bridge.Public()}, func(_ context.Context, key string, why attune.Refusal) {
		refused[key+" "+string(why)]++
	}, slog.New(slog.DiscardHandler))
	message := attune.ExecutionCancelMessage{Installation: "i", Execution: 7, Attempt: 1}
	good, err := attune.SignCancel(bridge, message)
	require.NoError(t, err)
	foreign, err := attune.SignCancel(other, message)
	require.NoError(t, err)
	altered := good
	altered.Payload = []byte(`{"installation":"i","execution_id":8,"attempt":1}`)

	id, believed := bridges.Cancel(t.Context(), good)
	require.True(t, believed)
	require.Equal(t, attune.AttemptID(message), id)
	for _, forged := range []attune.SignedCancel{{}, foreign, altered} {
		_, believed := bridges.Cancel(t.Context(), forged)
		require.False(t, believed)
	}
	require.Equal(t, map[string]int{"execution.cancel key": 2, "execution.cancel signature": 1}, refused)

	require.True(t, bridges.Replace([]attune.BridgeKey{bridge.Public(), other.Public()}))
	require.False(t, bridges.Replace([]attune.BridgeKey{bridge.Public(), other.Public()}))
	_, believed = bridges.Cancel(t.Context(), foreign)
	require.True(t, believed, "a key that was added")
}
