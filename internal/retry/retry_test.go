package retry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/retry"
)

var errAway = errors.New("away")

// bounds returns the range of the nth pause, from 0.
func bounds(n int) (least, most time.Duration) {
	most = min(100*time.Millisecond<<n, retry.MaxPause)
	return most / 2, most
}

func requirePauses(t *testing.T, pauses []time.Duration) {
	t.Helper()
	require.NotEmpty(t, pauses)
	for n, pause := range pauses {
		least, most := bounds(n)
		require.GreaterOrEqual(t, pause, least-time.Microsecond, "pause %d", n)
		require.LessOrEqual(t, pause, most+time.Microsecond, "pause %d", n)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()

	t.Run("a call is repeated until it succeeds, with pauses that grow up to a bound", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			var pauses []time.Duration
			tries, began, waited := 0, time.Now(), time.Duration(0)
			value, err := retry.Get(t.Context(), func() (string, error) {
				if tries++; tries <= 12 {
					return "", errAway
				}
				return "answer", nil
			}, func(err error, pause time.Duration) {
				require.ErrorIs(t, err, errAway)
				pauses, waited = append(pauses, pause), waited+pause
			})
			require.NoError(t, err)
			require.Equal(t, "answer", value)
			require.Len(t, pauses, 12)
			requirePauses(t, pauses)
			require.Equal(t, waited, time.Since(began), "Get waits for the pauses that it reports")
		})
	})

	t.Run("a call is repeated for a day", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			began := time.Now()
			_, err := retry.Get(t.Context(), func() (int, error) {
				if time.Since(began) < 24*time.Hour {
					return 0, errAway
				}
				return 1, nil
			}, nil)
			require.NoError(t, err)
		})
	})

	t.Run("a final error is returned at once, without its mark", func(t *testing.T) {
		t.Parallel()
		tries := 0
		_, err := retry.Get(t.Context(), func() (int, error) {
			tries++
			return 0, fmt.Errorf("ask: %w", retry.Final(errAway))
		}, nil)
		require.Equal(t, errAway, err)
		require.Equal(t, 1, tries)
	})

	t.Run("nothing is tried when the context has already ended", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := retry.Get(ctx, func() (int, error) { t.Error("tried"); return 0, nil }, nil)
		require.ErrorIs(t, err, context.Canceled)
	})

	t.Run("the end of the context ends a pause", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			stopped := errors.New("stopped")
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Minute, stopped)
			defer cancel()
			began := time.Now()
			_, err := retry.Get(ctx, func() (int, error) { return 0, errAway }, nil)
			require.Equal(t, stopped, err)
			require.Equal(t, time.Minute, time.Since(began))
		})
	})
}

func TestLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var pauses []time.Duration
		runs := 0
		retry.Loop(ctx, func(ctx context.Context) error {
			runs++
			switch runs {
			case 6: // a long run
				<-time.After(retry.MaxPause + time.Second)
				return nil
			case 10:
				cancel()
				return ctx.Err()
			}
			return errAway
		}, func(err error, pause time.Duration) {
			require.Equal(t, runs == 6, err == nil)
			pauses = append(pauses, pause)
		})
		require.Len(t, pauses, 9, "the run that ends with the context is not reported")
		requirePauses(t, pauses[:5])
		requirePauses(t, pauses[5:])
	})
}
