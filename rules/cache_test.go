package rules

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// cachedNumber is a value of size 1.
type cachedNumber int

func (cachedNumber) size() int { return 1 }

func TestCache(t *testing.T) {
	t.Parallel()
	c := newCache[cachedNumber](2)
	compiled := 0
	get := func(key string) cachedNumber {
		value, mistakes := c.get(key, func() (cachedNumber, Mistakes) {
			compiled++
			value, err := strconv.Atoi(key)
			if err != nil {
				return 0, mistakeAt(nil, "%s", err)
			}
			return cachedNumber(value), nil
		})
		require.Equal(t, mistakes != nil, key == "x")
		return value
	}

	require.Equal(t, cachedNumber(1), get("1"))
	require.Equal(t, cachedNumber(2), get("2"))
	require.Equal(t, cachedNumber(1), get("1"))
	require.Equal(t, 2, compiled, "a hit compiles nothing")

	require.Equal(t, cachedNumber(3), get("3"))
	require.Equal(t, cachedNumber(1), get("1"))
	require.Equal(t, cachedNumber(4), get("4"))
	require.Equal(t, cachedNumber(1), get("1"))
	require.Equal(t, 4, compiled, "a used value stays")
	require.Equal(t, cachedNumber(2), get("2"))
	require.Equal(t, 5, compiled, "an unused value is dropped")

	get("x")
	get("x")
	require.Equal(t, 7, compiled, "failures are not cached")
	for i := range 100 {
		require.Equal(t, cachedNumber(i), get(strconv.Itoa(i)))
		require.LessOrEqual(t, len(c.recent)+len(c.older), 4)
	}
}
