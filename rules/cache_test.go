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
				return 0, wrong(nil, "%s", err)
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

	require.Equal(t, 3, get("3"), "2 was not used for longest and goes")
	require.Equal(t, 1, get("1"))
	require.Equal(t, 3, compiled)
	require.Equal(t, 2, get("2"))
	require.Equal(t, 4, compiled)
	require.Len(t, c.entries, 2)
	require.Equal(t, 2, c.recent.Len())

	get("x")
	get("x")
	require.Equal(t, 6, compiled, "failures are not remembered")
	c.add("2", 5)
	require.Equal(t, 2, get("2"), "the first of two that compile at once stays")
}
