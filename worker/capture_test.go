package worker

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// TestCapture compares a capture with a copy of all written bytes.
func TestCapture(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		half := rapid.IntRange(1, 20).Draw(t, "half")
		c := newCapture(2 * half)
		var all []byte
		for _, chunk := range rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 50)).Draw(t, "chunks") {
			n, err := c.Write(chunk)
			require.NoError(t, err)
			require.Equal(t, len(chunk), n)
			all = append(all, chunk...)
			require.LessOrEqual(t, len(c.head)+len(c.tail), 2*half)
		}
		if len(all) <= 2*half {
			require.False(t, c.truncated())
			require.Equal(t, string(all), string(c.bytes()))
			return
		}
		require.True(t, c.truncated())
		require.Equal(t, string(all[:half])+string(all[len(all)-half:]), string(c.bytes()))
	})
}

func TestCapture_Memory(t *testing.T) {
	t.Parallel()
	const limit = 64 << 10
	c := newCapture(limit)
	chunk := make([]byte, 1000)
	for range 10_000 {
		_, _ = c.Write(chunk)
	}
	require.LessOrEqual(t, cap(c.head)+cap(c.tail), 2*limit, "only the rounding of append is allowed on top")
	require.Less(t, len(c.text()), limit)
}

func TestCapture_LastLine(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]string{
		"":                    "",
		"  \n\n":              "",
		"one":                 "one",
		"one\ntwo \n \n":      "two",
		"one\ntwo is long\n":  "two i…",
		"one\n\x00\x00oh\n":   "\uFFFDoh",
		"é é é":               "é \uFFFD…",
		"a\r\nb\r\n":          "b",
		"first\n\tindented\n": "inden…",
	} {
		c := newCapture(100)
		_, _ = c.Write([]byte(written))
		limit := 5
		if strings.HasPrefix(written, "é") {
			limit = 4
		}
		require.Equal(t, want, c.lastLine(limit), "%q", written)
	}
}

func TestResultOf(t *testing.T) {
	t.Parallel()
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, test := range []struct {
		stdout string
		result bool
	}{
		{`{}`, true}, {"\n [1, 2.5e3, -0, true, null, \"x\"] \t\n", true}, {`"text"`, true}, {`17`, true},
		{``, false}, {` `, false}, {`{`, false}, {`{} {}`, false}, {`text`, false}, {"{\"a\":\"\xff\"}", false}, {"\"\x00\"", false},
		{`"\u0000"`, true}, {`{"\u0000":1}`, true}, {`"\ud83d\ude00"`, true}, {`"\ud83d"`, true}, {`"\ude00x"`, true},
		{`1e309`, true}, {`[1E-309]`, true}, {`1e99999999999999999999`, true}, {strings.Repeat("9", 1001), true},
		{deep(500), true}, {deep(501), false}, {`["` + deep(501) + `"]`, true}, {`["\"` + deep(501) + `"]`, true}, {`["\\",` + deep(500) + `]`, false},
	} {
		c := newCapture(4096)
		_, _ = c.Write([]byte(test.stdout))
		got := resultOf(c)
		require.Equal(t, test.result, got != nil, "%.100q", test.stdout)
		if got != nil {
			require.Equal(t, strings.TrimSpace(test.stdout), string(got))
		}
	}
}

// FuzzDepthOf compares depthOf with the nesting that Go's decoder sees.
func FuzzDepthOf(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\ud83d\ude00"]}`, `"\\\"\u0041"`, `-1.5e+10`, `[]`, `["]",{"\"[":[]}]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) {
			return
		}
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		depth, deepest := 0, 0
		for {
			token, err := decoder.Token()
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			switch token {
			case json.Delim('['), json.Delim('{'):
				depth++
				deepest = max(deepest, depth)
			case json.Delim(']'), json.Delim('}'):
				depth--
			}
		}
		require.Equal(t, deepest, depthOf(raw))
	})
}

func TestRegister_Forgets(t *testing.T) {
	t.Parallel()
	r := newRegister()
	const n = rememberedAttempts + 10
	for i := range n {
		_, a, isNew := r.enter(t.Context(), attune.AttemptID{Execution: 1, Attempt: i})
		require.True(t, isNew)
		a.decide(true)
		r.retire(a)
	}
	require.Len(t, r.known, rememberedAttempts)
	_, a, isNew := r.enter(t.Context(), attune.AttemptID{Execution: 1, Attempt: n - 1})
	require.False(t, isNew)
	require.True(t, a.claimed)
	_, _, isNew = r.enter(t.Context(), attune.AttemptID{Execution: 1, Attempt: 9})
	require.True(t, isNew, "the oldest are forgotten")
	require.Len(t, r.active(), 1)
}
