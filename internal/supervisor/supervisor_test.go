package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/supervisor"
)

func untilDone(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestSupervisor(t *testing.T) {
	t.Parallel()

	t.Run("a loop runs from start to stop and outlives the context of the start", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := supervisor.New(slog.New(slog.DiscardHandler))
			running := false
			loop := s.Loop("relay", func(ctx context.Context) error {
				running = true
				defer func() { running = false }()
				return untilDone(ctx)
			})
			startCtx, cancelStart := context.WithCancel(t.Context())
			require.NoError(t, loop.Start(startCtx))
			cancelStart()
			synctest.Wait()
			require.True(t, running)
			require.NoError(t, loop.Stop(t.Context()))
			require.False(t, running)

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, s.Wait(ctx), "a stopped loop has not ended by itself")
		})
	})

	t.Run("stopping a loop that does not return in time is an error with the loop's name", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			loop := supervisor.New(slog.New(slog.DiscardHandler)).Loop("relay", func(context.Context) error { <-release; return nil })
			require.NoError(t, loop.Start(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := loop.Stop(ctx)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "relay")
			close(release)
		})
	})

	t.Run("wait returns the error of the first part that ends by itself", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var log bytes.Buffer
			s := supervisor.New(slog.New(slog.NewTextHandler(&log, nil)))
			broken := errors.New("broken")
			require.NoError(t, s.Loop("first", func(context.Context) error { return broken }).Start(t.Context()))
			synctest.Wait()
			s.ReportEnd("second", errors.New("also broken"))
			err := s.Wait(t.Context())
			require.ErrorIs(t, err, broken)
			require.ErrorContains(t, err, `"first"`)
			require.Contains(t, log.String(), "part=first")
			require.Contains(t, log.String(), "part=second")
		})
	})

	t.Run("a loop that ends by itself without an error is reported, too", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			s := supervisor.New(slog.New(slog.DiscardHandler))
			require.NoError(t, s.Loop("relay", func(context.Context) error { return nil }).Start(t.Context()))
			require.ErrorContains(t, s.Wait(t.Context()), `part "relay" of the process ended by itself`)
		})
	})
}
