package rules

import (
	"testing"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// genTexts draws a list of texts.
func genTexts() *rapid.Generator[[]any] {
	return rapid.SliceOfN(genText().AsAny(), 0, 5)
}

// genText draws a short text of few different characters, so that one text often contains another.
func genText() *rapid.Generator[string] {
	return rapid.StringOfN(rapid.SampledFrom([]rune("aab1\\ä\a\"%")), 0, 12, -1)
}

// arguments returns generators for the arguments of every function that makes a text.
func arguments() map[string]func(t *rapid.T) []any {
	text := func(t *rapid.T) any { return genText().Draw(t, "text") }
	part := func(t *rapid.T) any { return genText().Draw(t, "part") }
	bytes := func(t *rapid.T) any { return []byte(genText().Draw(t, "bytes")) }
	count := func(t *rapid.T) any { return rapid.Int64Range(-1, 5).Draw(t, "count") }
	of := func(draw ...func(t *rapid.T) any) func(t *rapid.T) []any {
		return func(t *rapid.T) []any {
			var args []any
			for _, d := range draw {
				args = append(args, d(t))
			}
			return args
		}
	}
	pattern := func(t *rapid.T) any {
		return rapid.SampledFrom([]string{"a", "a*", "", "(a+)(b)?", "ä|a", "^a", "b$"}).Draw(t, "pattern")
	}
	replacement := func(t *rapid.T) any {
		return rapid.SampledFrom([]string{"", "xy", `\0\0`, `\\a\0`, "ää"}).Draw(t, "replacement")
	}
	format := func(t *rapid.T) any {
		return rapid.SampledFrom([]string{"%s", "a%sb%%", "%x", "%X", "%f", "%.100f", "%e", "%.99e", "%d", "%b", "%o"}).Draw(t, "format")
	}
	values := func(t *rapid.T) any { return []any{genValue(2).Draw(t, "value")} }
	return map[string]func(t *rapid.T) []any{
		"_+_": of(text, part), "charAt": of(text, count), "substring": of(text, count), "trim": of(text),
		"lowerAscii": of(text), "upperAscii": of(text), "string": of(bytes), "bytes": of(text), "reverse": of(text),
		"base64.encode": of(bytes), "base64.decode": of(text), "strings.quote": of(text), "replace": of(text, part, replacement, count),
		"join": of(func(t *rapid.T) any { return genTexts().Draw(t, "texts") }, text), "format": of(format, values),
		"regex.replace": of(text, pattern, replacement),
	}
}

// No call returns a longer text than its price allows.
func TestPricings_BoundWhatIsMade(t *testing.T) {
	t.Parallel()
	language, err := newLanguage()
	require.NoError(t, err)
	for name, draw := range arguments() {
		t.Run(name+" makes no longer text than its price", func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				var args []ref.Val
				for _, arg := range draw(t) {
					args = append(args, types.DefaultTypeAdapter.NativeToValue(arg))
				}
				call := meteredCall{overload: language.metering.overloads[name]}
				made, price := call.call(args), language.metering.pricings[name](maxSteps, args)
				if length(made) > price.made {
					t.Fatalf("made %d bytes, priced at %d", length(made), price.made)
				}
			})
		})
	}
}

func TestPricings_NamesTheBoundThatIsReached(t *testing.T) {
	t.Parallel()
	require.Empty(t, price{made: maxTextBytes}.tooMuch())
	require.Equal(t, "the result could have 1048577 bytes, more than 1048576,", price{made: maxTextBytes + 1}.tooMuch())
	require.Equal(t, "why", price{made: maxTextBytes + 1, invalid: "why"}.tooMuch())
}
