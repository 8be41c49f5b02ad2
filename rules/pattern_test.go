package rules

import (
	"math"
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"

	"cel.dev/cel-go/common/types"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSearch_FindsTheMatchesOfTheLibrary(t *testing.T) {
	t.Parallel()
	pattern := rapid.StringOfN(rapid.SampledFrom([]rune(`aab.*?+|()^$[]\b1{,}`)), 1, 12, -1).Filter(func(s string) bool {
		_, err := regexp.Compile(s)
		return err == nil
	})
	text := rapid.StringOfN(rapid.SampledFrom([]rune("aab1 ä\n")), 0, 30, -1)
	rapid.Check(t, func(t *rapid.T) {
		pattern, text := pattern.Draw(t, "pattern"), text.Draw(t, "text")
		found, _ := search(pattern, text, math.MaxUint64)
		if want := len(regexp.MustCompile(pattern).FindAllStringIndex(text, -1)); found != uint64(want) {
			t.Fatalf("found %d matches, want %d", found, want)
		}
	})
}

func TestSearch_SeesWhatStandsBefore(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          uint64
	}{
		{`a`, "aaa", 3}, {`^a`, "aaa", 1}, {`(?m)^a`, "aa\na", 2}, {`\ba`, "aa a", 2}, {`\Ba`, "aa a", 1}, {`a$`, "aaa", 1},
		{`(?i)A|b`, "aBb", 3}, {`ä`, "xäyä", 2}, {`a*`, "baac", 3}, {`aa|a`, "aaa", 2}, {`b`, "aaa", 0},
	} {
		found, _ := search(tt.pattern, tt.text, math.MaxUint64)
		require.Equal(t, tt.want, found, "%s in %q", tt.pattern, tt.text)
	}
}

// In these texts, every search for the next match reads to the end.
func TestSearch_CountsWhatIsReadAgainAndStops(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("a", 1000)
	found, read := search(`a*b|a`, text, math.MaxUint64)
	require.Equal(t, uint64(1000), found)
	require.Greater(t, read, uint64(1000*1000/2))
	_, read = search(`a*b|a`, text, 5000)
	require.LessOrEqual(t, read, uint64(5100))
	_, read = search(`a`, text, math.MaxUint64)
	require.Less(t, read, uint64(5000))
}

func TestInstructions_AreNoFewerThanTheProgramHas(t *testing.T) {
	t.Parallel()
	patterns := []string{
		``, `a`, `abc`, `a*b+c?`, `(a|b|cd)*`, `x{900}`, `x{0,900}`, `(x{10}){10}`, `x{3,}`, `[a-zß]{5}`, `\pL+`, `^(?i:ab)$`, `(?:)`,
		`((((a))))`, `a|b|c|d`, `\b\w+\b`, `.{1,30}@.{1,30}`,
	}
	for _, pattern := range patterns {
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		require.NoError(t, err)
		program, err := types.RegexProgramSize(pattern)
		require.NoError(t, err)
		require.GreaterOrEqual(t, instructions(parsed)+3, uint64(program), pattern) // three begin and end every program
	}
}
