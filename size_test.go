package attune_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

func TestSize(t *testing.T) {
	t.Parallel()

	t.Run("a size is its text and back", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			want := attune.Size(rapid.Int64Range(0, 1<<50).Draw(t, "bytes"))
			text, err := want.MarshalText()
			require.NoError(t, err)
			var got attune.Size
			require.NoError(t, got.UnmarshalText(text), "%s", text)
			require.Equal(t, want, got)
		})
	})

	t.Run("the text has the largest unit", func(t *testing.T) {
		t.Parallel()
		for size, want := range map[attune.Size]string{
			0: "0B", 1: "1B", 1023: "1023B", 1 << 10: "1KiB", 1<<20 + 1<<10: "1025KiB", 3 << 20: "3MiB", 1 << 40: "1024GiB",
		} {
			require.Equal(t, want, size.String())
		}
	})

	t.Run("a number without a unit is refused with the number and a unit", func(t *testing.T) {
		t.Parallel()
		size := attune.Size(7)
		require.EqualError(t, size.UnmarshalText([]byte("10")), `"10" has no unit: use a whole number with a unit, such as 10MiB`)
		require.Equal(t, attune.Size(7), size)
	})

	t.Run("other texts are refused", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{
			"", "MiB", "1 MiB", "-1MiB", "+1MiB", "1.5GiB", "1MB", "1mib", "0x1B", "1048577GiB", "9223372036854775808B",
		} {
			size := attune.Size(7)
			require.ErrorContains(t, size.UnmarshalText([]byte(text)), "64MiB", "%q", text)
			require.Equal(t, attune.Size(7), size, "%q", text)
		}
	})
}
