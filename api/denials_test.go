package api

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDenials(t *testing.T) {
	t.Parallel()
	c := &setClock{now: time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)}
	d := newDenials()
	d.limits.now = c.time
	for range denialBurst {
		omitted, allowed := d.allow("viewer")
		require.True(t, allowed)
		require.Zero(t, omitted)
	}
	for range 7 {
		_, allowed := d.allow("viewer")
		require.False(t, allowed)
	}
	c.now = c.now.Add(denialPeriod)
	omitted, allowed := d.allow("viewer")
	require.True(t, allowed)
	require.Equal(t, 7, omitted)
	d.restore("viewer", omitted+1)
	c.now = c.now.Add(denialPeriod)
	omitted, _ = d.allow("viewer")
	require.Equal(t, 8, omitted, "a number that was not recorded is in the next entry")

	for n := range 2 * maxBuckets {
		for range denialBurst + 1 {
			d.allow(strconv.Itoa(n))
		}
	}
	require.LessOrEqual(t, len(d.omitted), maxBuckets+1)
}
