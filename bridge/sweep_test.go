package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/bridge"
)

// sweeps is a store that passes the limit of each sweep on, and fails at first.
type sweeps struct {
	limits chan int
	failed bool
}

func (s *sweeps) Sweep(ctx context.Context, limit int) (int64, error) {
	if !s.failed {
		s.failed = true
		return 0, errors.New("the database does not answer")
	}
	select {
	case s.limits <- limit:
	case <-ctx.Done():
	}
	return 3, nil
}

func TestSweeper(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	store := &sweeps{limits: make(chan int)}
	s := bridge.NewSweeper(store, time.Millisecond, slog.New(slog.NewTextHandler(&log, nil)))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	for range 2 {
		require.Equal(t, 10_000, <-store.limits)
	}
	stop()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), "the database does not answer")
}
