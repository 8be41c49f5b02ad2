package attune_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestStartRate_OpensAt(t *testing.T) {
	t.Parallel()
	rate := attune.StartRate{Limit: 2, Window: attune.Duration(time.Minute)}
	at := func(second int64) int64 { return second * 1000 }
	require.Zero(t, rate.OpensAt(nil))
	require.Zero(t, rate.OpensAt([]int64{at(10)}), "one more start fits")
	require.Equal(t, time.Unix(70, 0).UTC(), rate.OpensAt([]int64{at(10), at(30)}))
	require.Equal(t, time.Unix(90, 0).UTC(), rate.OpensAt([]int64{at(10), at(30), at(40)}), "the latest two count")
}
