package bridge_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

type policyRows []attune.Admission

func (p policyRows) ApplyPolicies(context.Context) ([]attune.Admission, error) { return p, nil }

type policySetterFunc func(key attune.QueueKey, policy attune.QueuePolicy) error

func (f policySetterFunc) SetPolicy(_ context.Context, key attune.QueueKey, policy attune.QueuePolicy) error {
	return f(key, policy)
}

func TestPolicies_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rows := policyRows{{Queue: "a", Policy: attune.QueuePolicy{Revision: 2}}, {Queue: "b", Policy: attune.QueuePolicy{Revision: 5}}}
		sent := map[attune.QueueKey]int64{}
		queues := policySetterFunc(func(key attune.QueueKey, policy attune.QueuePolicy) error {
			sent[key] = policy.Revision
			if key == "a" {
				return attune.Errorf(attune.CodeUnavailable, "Temporal is away")
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- bridge.NewPolicies(rows, queues, slog.New(slog.DiscardHandler)).Run(ctx) }()
		synctest.Wait()
		require.Equal(t, map[attune.QueueKey]int64{"a": 2, "b": 5}, sent, "a queue that cannot be reached does not block the others")
		require.Empty(t, ended, "it runs as long as the process does")
		cancel()
		require.NoError(t, <-ended)
	})
}
