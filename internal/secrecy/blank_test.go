package secrecy

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestBlank overwrites blocks of variables.
func TestBlank(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Z_]{1,8}`)
		value := rapid.StringMatching(`[ -~é]{0,20}`)
		var block, want strings.Builder
		for range rapid.IntRange(0, 5).Draw(t, "variables") {
			n, v := name.Draw(t, "name"), value.Draw(t, "value")
			block.WriteString(n + "=" + v + "\x00")
			want.WriteString(n + "=" + strings.Repeat("\x00", len(v)) + "\x00")
		}
		end := rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "LAST"}).Draw(t, "end")
		got := []byte(block.String() + end)
		blank(got)
		require.Equal(t, want.String()+end, string(got))
	})
}
