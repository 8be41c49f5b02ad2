package rules

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCache(t *testing.T) {
	t.Parallel()
	c := newCache[int](2)
	compiled := 0
	get := func(key string) int {
		value, mistakes := c.get(key, func() (int, Mistakes) {
			compiled++
			value, err := strconv.Atoi(key)
			if err != nil {
				return 0, mistakeAt(nil, "%s", err)
			}
			return value, nil
		})
		require.Equal(t, mistakes != nil, key == "x")
		return value
	}

	require.Equal(t, 1, get("1"))
	require.Equal(t, 2, get("2"))
	require.Equal(t, 1, get("1"))
	require.Equal(t, 2, compiled, "a hit compiles nothing")

	require.Equal(t, 3, get("3"))
	require.Equal(t, 1, get("1"))
	require.Equal(t, 4, get("4"))
	require.Equal(t, 1, get("1"))
	require.Equal(t, 4, compiled, "a used value stays")
	require.Equal(t, 2, get("2"))
	require.Equal(t, 5, compiled, "an unused value is dropped")

	get("x")
	get("x")
	require.Equal(t, 7, compiled, "failures are not cached")
	for i := range 100 {
		require.Equal(t, i, get(strconv.Itoa(i)))
		require.LessOrEqual(t, len(c.recent)+len(c.older), 4)
	}
}
