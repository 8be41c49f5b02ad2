package testenv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKeeperIsIdle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(run{})
		<-time.After(idleLimit)
		require.False(t, k.idle(), "the first client has a minute to come")
		k.come(+1)
		<-time.After(2 * idleLimit)
		require.False(t, k.idle(), "a client is there")
		k.come(-1)
		<-time.After(idleLimit)
		require.False(t, k.idle())
		<-time.After(time.Second)
		require.True(t, k.idle())
	})
}

func TestOffer(t *testing.T) {
	t.Parallel()

	t.Run("FailsAlikeForEverybody", func(t *testing.T) {
		t.Parallel()
		starts := 0
		o := &offer{start: func(context.Context) (service, reply, error) {
			starts++
			return nil, reply{}, errors.New("no such program")
		}}
		for range 2 {
			require.Equal(t, reply{Error: "no such program"}, o.take(t.Context()))
		}
		require.Equal(t, 1, starts)
	})

	t.Run("SaysThatTheServiceEnded", func(t *testing.T) {
		t.Parallel()
		s := &fakeService{done: make(chan struct{})}
		o := &offer{start: func(context.Context) (service, reply, error) { return s, reply{URL: "there"}, nil }}
		require.Equal(t, reply{URL: "there"}, o.take(t.Context()))
		close(s.done)
		require.Equal(t, reply{Error: "the shared service is gone: out of memory"}, o.take(t.Context()))
	})
}

type fakeService struct{ done chan struct{} }

func (*fakeService) Stop(context.Context) error { return nil }
func (s *fakeService) Done() <-chan struct{}    { return s.done }
func (*fakeService) Err() error                 { return errors.New("out of memory") }

func TestParseRun(t *testing.T) {
	t.Parallel()
	current := currentRun()
	parsed, err := parseRun(current.base)
	require.NoError(t, err)
	require.Equal(t, current, parsed)
	require.False(t, parsed.over())

	for _, base := range []string{"", "/tmp/other", current.base + "x"} {
		_, err := parseRun(base)
		require.ErrorContains(t, err, "does not name a test run")
	}
}
