package policy_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func TestQueueOf(t *testing.T) {
	t.Parallel()
	queue, lane := policy.QueueOf(attune.Action{Ref: "demo.deploy"})
	require.Equal(t, attune.QueueKey("demo.deploy"), queue)
	require.Empty(t, lane)
	require.Equal(t, policy.DefaultQueue("demo.deploy"), queue)
	require.Equal(t, attune.Ref("demo.deploy"), policy.OwnerOf(queue))
}
