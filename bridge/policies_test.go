package bridge_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

type policyRowsFunc func() ([]attune.Admission, error)

func (f policyRowsFunc) ApplyPolicies(context.Context) ([]attune.Admission, error) { return f() }

type policySetterFunc func(key attune.QueueKey, policy attune.QueuePolicy) error

func (f policySetterFunc) SetPolicy(_ context.Context, key attune.QueueKey, policy attune.QueuePolicy) error {
	return f(key, policy)
}

func TestPolicies_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var databaseUp, temporalUp atomic.Bool
		applied, sent := 0, map[attune.QueueKey][]int64{}
		rows := policyRowsFunc(func() ([]attune.Admission, error) {
			if !databaseUp.Load() {
				return nil, attune.Errorf(attune.CodeUnavailable, "the database is away")
			}
			applied++
			return []attune.Admission{
				{Queue: "a", Policy: attune.QueuePolicy{Revision: 2}}, {Queue: "b", Policy: attune.QueuePolicy{Revision: 5}},
			}, nil
		})
		queues := policySetterFunc(func(key attune.QueueKey, policy attune.QueuePolicy) error {
			if key == "a" && !temporalUp.Load() {
				return attune.Errorf(attune.CodeUnavailable, "Temporal is away")
			}
			sent[key] = append(sent[key], policy.Revision)
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- bridge.NewPolicies(rows, queues, slog.New(slog.DiscardHandler)).Run(ctx) }()
		pass := func() { // passes the time of several tries
			<-time.After(time.Minute)
			synctest.Wait()
		}
		pass()
		require.Zero(t, applied)
		databaseUp.Store(true)
		pass()
		require.Equal(t, 1, applied)
		require.Equal(t, map[attune.QueueKey][]int64{"b": {5}}, sent, "a queue that cannot be reached does not block the others")
		temporalUp.Store(true)
		pass()
		require.Equal(t, 1, applied)
		require.Equal(t, map[attune.QueueKey][]int64{"a": {2}, "b": {5}}, sent, "each queue gets its policy once")
		require.Empty(t, ended, "it runs as long as the process does")
		cancel()
		require.NoError(t, <-ended)
	})
}

func TestPolicies_RunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	rows := policyRowsFunc(func() ([]attune.Admission, error) { return nil, attune.Errorf(attune.CodeUnavailable, "away") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.NoError(t, bridge.NewPolicies(rows, nil, slog.New(slog.DiscardHandler)).Run(ctx))
}
