package attune_test

import (
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

func TestEscapeText(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"plain text is kept":                      {"naïve – 日本\n\tend", "naïve – 日本\n\tend"},
		"a terminal command is shown":             {"a\x1b[2Jb", `a\u001b[2Jb`},
		"a bell is shown":                         {"\a", `\u0007`},
		"a carriage return is shown":              {"safe\rfake", `safe\u000dfake`},
		"a backspace is shown":                    {"ab\b", `ab\u0008`},
		"a delete character is shown":             {"\x7f", `\u007f`},
		"a C1 control is shown":                   {"\u009b2J", `\u009b2J`},
		"a character that reverses text is shown": {"a\u202eb", `a\u202eb`},
		"a byte that is no UTF-8 is shown":        {"a\x9b\xff", `a\x9b\xff`},
		"a replaced character is kept":            {"\uFFFD", "\uFFFD"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, attune.EscapeText(tt.text))
		})
	}

	t.Run("every text becomes valid UTF-8 without control characters, once and for all", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "text"))
			escaped := attune.EscapeText(text)
			require.True(t, utf8.ValidString(escaped))
			for _, r := range escaped {
				require.True(t, r == '\n' || r == '\t' || !unicode.IsControl(r), "%q", escaped)
			}
			require.Equal(t, escaped, attune.EscapeText(escaped))
		})
	})
}
