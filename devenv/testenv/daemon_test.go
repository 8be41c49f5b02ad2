package testenv

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDaemon_Idle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDaemon(run{})
		<-time.After(idleLimit)
		require.False(t, d.idle(), "the first client has a minute to come")
		d.countClient(+1)
		<-time.After(2 * idleLimit)
		require.False(t, d.idle(), "a client is connected")
		d.countClient(-1)
		<-time.After(idleLimit)
		require.False(t, d.idle())
		<-time.After(time.Second)
		require.True(t, d.idle())
	})
}

func TestLazyService(t *testing.T) {
	t.Parallel()

	t.Run("a failed start fails every request", func(t *testing.T) {
		t.Parallel()
		starts := 0
		lazy := &lazyService{start: func(context.Context) (service, reply, error) {
			starts++
			return nil, reply{}, errors.New("no such program")
		}}
		for range 2 {
			require.Equal(t, reply{Error: "no such program"}, lazy.take(t.Context()))
		}
		require.Equal(t, 1, starts)
	})

	t.Run("a service that has ended is reported", func(t *testing.T) {
		t.Parallel()
		s := &fakeService{done: make(chan struct{})}
		lazy := &lazyService{start: func(context.Context) (service, reply, error) { return s, reply{URL: "there"}, nil }}
		require.Equal(t, reply{URL: "there"}, lazy.take(t.Context()))
		close(s.done)
		require.Equal(t, reply{Error: "the shared service has ended: out of memory"}, lazy.take(t.Context()))
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
