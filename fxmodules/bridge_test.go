package fxmodules

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/rabbitmq"
)

// TestConsumeWorkers has the bound of dead letters that docs/security.md promises.
func TestConsumeWorkers(t *testing.T) {
	t.Parallel()
	config := consumeWorkers(rabbitmq.QueueExecutionClaim, &rabbitmq.PoolPublisher{})
	require.Equal(t, 20, config.MaxRefused)
	require.Equal(t, rabbitmq.QueueExecutionClaim, config.Queue)
}
