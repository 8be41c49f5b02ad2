package batch_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/batch"
)

const linger = 10 * time.Millisecond

// feed returns a channel that has n values, then gets one value after each pause, and then is closed.
func feed(n int, pauses ...time.Duration) <-chan int {
	values := make(chan int, n)
	for i := range n {
		values <- i
	}
	go func() {
		defer close(values)
		for i, pause := range pauses {
			<-time.After(pause) // synctest's fake time
			values <- n + i
		}
	}()
	return values
}

func sizes(t *testing.T, b *batch.Collector[int], values <-chan int) []int {
	t.Helper()
	var all, sizes []int
	for {
		batch := b.Next(t.Context(), values)
		if batch == nil {
			break
		}
		all, sizes = append(all, batch...), append(sizes, len(batch))
	}
	for i, value := range all {
		require.Equal(t, i, value, "values are in order and none is lost")
	}
	return sizes
}

func TestCollector(t *testing.T) {
	t.Parallel()
	const soon, late = linger / 2, 3 * linger
	tests := map[string]struct {
		collector batch.Collector[int]
		n         int             // values that the channel has at first
		pauses    []time.Duration // before each further value
		want      []int
	}{
		"a batch takes what the channel has, up to its bound": {batch.Collector[int]{Max: 4}, 10, nil, []int{4, 4, 2}},
		"without linger a batch does not wait": {
			batch.Collector[int]{Max: 4}, 3, []time.Duration{soon, soon}, []int{3, 1, 1},
		},
		"a single value does not wait": {
			batch.Collector[int]{Max: 4, Linger: linger}, 1, []time.Duration{soon, soon}, []int{1, 1, 1},
		},
		"after several values, a value waits for another": {
			batch.Collector[int]{Max: 4, Linger: linger}, 2, []time.Duration{late, soon}, []int{2, 2},
		},
		"a batch waits no longer than linger": {
			batch.Collector[int]{Max: 4, Linger: linger}, 2, []time.Duration{late, late, soon}, []int{2, 1, 1, 1},
		},
		"a full batch waits for nothing": {batch.Collector[int]{Max: 2, Linger: time.Hour}, 6, nil, []int{2, 2, 2}},
		"a closed channel ends the wait": {
			batch.Collector[int]{Max: 4, Linger: time.Hour}, 2, []time.Duration{late}, []int{2, 1},
		},
		"a closed channel yields no batch": {batch.Collector[int]{Max: 4, Linger: linger}, 0, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				require.Equal(t, test.want, sizes(t, &test.collector, feed(test.n, test.pauses...)))
			})
		})
	}
}

func TestCollector_ContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		collector := batch.Collector[int]{Max: 4, Linger: time.Hour}
		values := make(chan int, 3)
		values <- 1
		values <- 2
		ctx, cancel := context.WithCancel(t.Context())
		require.Equal(t, []int{1, 2}, collector.Next(ctx, values))
		values <- 3
		time.AfterFunc(time.Minute, cancel)
		require.Equal(t, []int{3}, collector.Next(ctx, values), "a value that was received before the end is returned")
		for range 100 { // select chooses between the value and the end of ctx at random
			values := make(chan int, 1)
			values <- 4
			require.Nil(t, collector.Next(ctx, values))
		}
	})
}
