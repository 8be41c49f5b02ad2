package baseline_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"

	"github.com/attune-go/attune/workflows/baseline"
)

func TestNumbers(t *testing.T) {
	t.Parallel()

	t.Run("a ratio is the median of the ratios of pairs, not the ratio of medians", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, baseline.Ratio{Median: 2, Lowest: 1, Highest: 5}, baseline.RatioOf([]float64{10, 4, 5}, []float64{10, 2, 1}))
	})

	t.Run("the median of an even number of values lies between the middle two", func(t *testing.T) {
		t.Parallel()
		require.InDelta(t, 2.5, baseline.Median([]float64{4, 1, 3, 2}), 1e-9)
	})

	t.Run("a quantile is one of the values", func(t *testing.T) {
		t.Parallel()
		var values []int
		for i := range 100 {
			values = append(values, 100-i)
		}
		require.Equal(t, 50, baseline.Quantile(values, 50))
		require.Equal(t, 99, baseline.Quantile(values, 99))
		require.Zero(t, baseline.Quantile([]int(nil), 50))
	})
}

func TestCount_Time(t *testing.T) {
	t.Parallel()

	t.Run("a measurement lasts until as many values are counted as were started", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			count := baseline.NewCount()
			count.Add(3)
			var started atomic.Int64
			took, err := count.Time(t.Context(), 10, 4, func(context.Context) error {
				started.Add(1)
				time.AfterFunc(time.Hour/100, func() { count.Add(1) })
				return nil
			})
			require.NoError(t, err)
			require.EqualValues(t, 10, started.Load())
			require.EqualValues(t, 13, count.Value())
			require.Equal(t, time.Hour/100, took)
		})
	})

	t.Run("a wait continues while the count grows, and fails when the count stalls", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			count := baseline.NewCount()
			for i := range 5 {
				time.AfterFunc(time.Duration(i)*2*time.Minute, func() { count.Add(1) })
			}
			require.NoError(t, count.Await(t.Context(), 5))
			require.ErrorContains(t, count.Await(t.Context(), 7), "2 more are expected")
		})
	})

	t.Run("a failed start ends the measurement", func(t *testing.T) {
		t.Parallel()
		refused := errors.New("refused")
		_, err := baseline.NewCount().Time(t.Context(), 10, 4, func(context.Context) error { return refused })
		require.ErrorIs(t, err, refused)
	})
}

func TestUntilAnswered(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	answers := []error{
		serviceerror.NewDeadlineExceeded("late"), fmt.Errorf("start: %w", context.DeadlineExceeded), serviceerror.NewUnavailable("away"), refused, nil,
	}
	calls := 0
	err := baseline.UntilAnswered(t.Context(), func(context.Context) error {
		calls++
		return answers[calls-1]
	})
	require.ErrorIs(t, err, refused)
	require.Equal(t, 4, calls, "an answer that is an error is an answer")
}
