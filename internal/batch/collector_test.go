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

// feed returns a channel on which values come: n of them at once, then one after each pause, then it is closed.
func feed(n int, pauses ...time.Duration) <-chan int {
	values := make(chan int, n)
	for i := range n {
		values <- i
	}
	go func() {
		defer close(values)
		for i, pause := range pauses {
			<-time.After(pause) // of the bubble's own time
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
		require.Equal(t, i, value, "in order, none lost")
	}
	return sizes
}

func TestBatches(t *testing.T) {
	t.Parallel()
	const soon, late = linger / 2, 3 * linger
	tests := map[string]struct {
		batches batch.Collector[int]
		values  func() <-chan int
		want    []int
	}{
		"what is there, up to the bound":       {batch.Collector[int]{Max: 4}, func() <-chan int { return feed(10) }, []int{4, 4, 2}},
		"without linger nobody waits":          {batch.Collector[int]{Max: 4}, func() <-chan int { return feed(3, soon, soon) }, []int{3, 1, 1}},
		"one alone does not wait":              {batch.Collector[int]{Max: 4, Linger: linger}, func() <-chan int { return feed(1, soon, soon) }, []int{1, 1, 1}},
		"after several, one waits for another": {batch.Collector[int]{Max: 4, Linger: linger}, func() <-chan int { return feed(2, late, soon) }, []int{2, 2}},
		"no longer than it says":               {batch.Collector[int]{Max: 4, Linger: linger}, func() <-chan int { return feed(2, late, late, soon) }, []int{2, 1, 1, 1}},
		"a full batch waits for nothing":       {batch.Collector[int]{Max: 2, Linger: time.Hour}, func() <-chan int { return feed(6) }, []int{2, 2, 2}},
		"a closed channel ends the waiting":    {batch.Collector[int]{Max: 4, Linger: time.Hour}, func() <-chan int { return feed(2, late) }, []int{2, 1}},
		"nothing ever":                         {batch.Collector[int]{Max: 4, Linger: linger}, func() <-chan int { return feed(0) }, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				require.Equal(t, test.want, sizes(t, &test.batches, test.values()))
			})
		})
	}
}

func TestBatches_ContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		batches := batch.Collector[int]{Max: 4, Linger: time.Hour}
		values := make(chan int, 3)
		values <- 1
		values <- 2
		ctx, cancel := context.WithCancel(t.Context())
		require.Equal(t, []int{1, 2}, batches.Next(ctx, values))
		values <- 3
		time.AfterFunc(time.Minute, cancel)
		require.Equal(t, []int{3}, batches.Next(ctx, values), "what it has, it does not lose")
		for range 100 { // whichever of the two is looked at first
			values := make(chan int, 1)
			values <- 4
			require.Nil(t, batches.Next(ctx, values))
		}
	})
}
