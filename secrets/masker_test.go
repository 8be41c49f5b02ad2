package secrets_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune/secrets"
)

// masked returns a text masked in writes of the given sizes, over and over.
func masked(t require.TestingT, m *secrets.Masker, text string, sizes []int) string {
	var out bytes.Buffer
	w := m.Writer(&out)
	for i := 0; text != ""; i++ {
		n := min(sizes[i%len(sizes)], len(text))
		written, err := w.Write([]byte(text[:n]))
		require.NoError(t, err)
		require.Equal(t, n, written)
		text = text[n:]
	}
	require.NoError(t, w.Close())
	return out.String()
}

func TestMasker(t *testing.T) {
	t.Parallel()

	t.Run("a value is masked in the forms that programs print", func(t *testing.T) {
		t.Parallel()
		const value = `p&ss/"wörd"<é+>`
		quoted, err := json.Marshal(value)
		require.NoError(t, err)
		m := secrets.NewMasker([]string{value})
		for name, text := range map[string]string{
			"as it is":                    value,
			"in a JSON text":              string(quoted),
			"in ASCII JSON":               `p&ss/\"w\u00f6rd\"<\u00e9+>`,
			"in base64":                   base64.StdEncoding.EncodeToString([]byte(value)),
			"in base64 for URLs":          base64.RawURLEncoding.EncodeToString([]byte(value)),
			"in a header of basic access": base64.StdEncoding.EncodeToString([]byte("user:" + value)),
			"behind one byte in base64":   base64.StdEncoding.EncodeToString([]byte("x" + value + "tail")),
			"behind two bytes in base64":  base64.StdEncoding.EncodeToString([]byte("xy" + value + "tail")),
			"in a query":                  url.QueryEscape(value),
			"in a path":                   url.PathEscape(value),
			"in a query in lower case":    strings.ToLower(url.QueryEscape(value)),
		} {
			shown := m.Text("before " + text + " after")
			require.Contains(t, shown, "***", name)
			require.NotContains(t, shown, text, name)
			require.Contains(t, shown, "before ", name)
			require.Contains(t, shown, " after", name)
		}
	})

	t.Run("a base64 text shows less than two characters of the value", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.StringMatching(`[a-z0-9]{8,40}`).Draw(t, "value")
			before := rapid.StringMatching(`[A-Z]{0,7}`).Draw(t, "before")
			after := rapid.StringMatching(`[A-Z]{0,7}`).Draw(t, "after")
			shown := secrets.NewMasker([]string{value}).Text(base64.StdEncoding.EncodeToString([]byte(before + value + after)))
			head, tail, found := strings.Cut(shown, "***")
			require.True(t, found)
			require.LessOrEqual(t, len(head), (len(before)*8+5)/6)
			require.LessOrEqual(t, len(tail), (len(after)*8+5)/6+4)
		})
	})

	t.Run("no character of a base64 text that holds bits of the value is shown", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{"s3cr3t-pass"})
		for plain, want := range map[string]string{
			"user:s3cr3t-pass": "dXNlcj***==", "s3cr3t-pass\n": "***K", "xs3cr3t-passy": "e***eQ==",
		} {
			require.Equal(t, want, m.Text(base64.StdEncoding.EncodeToString([]byte(plain))), plain)
		}
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.StringMatching(`[a-z0-9]{8,40}`).Draw(t, "value")
			before := rapid.StringMatching(`[A-Z]{0,7}`).Draw(t, "before")
			after := rapid.StringMatching(`[A-Z\n]{0,7}`).Draw(t, "after")
			sizes := rapid.SliceOfN(rapid.IntRange(1, 50), 1, 4).Draw(t, "sizes")
			encoded := base64.StdEncoding.EncodeToString([]byte(before + value + after))
			m := secrets.NewMasker([]string{value})
			shown := m.Text("text " + encoded + " text")
			require.Equal(t, shown, masked(t, m, "text "+encoded+" text", sizes))
			head, tail, found := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(shown, "text "), " text"), "***")
			require.True(t, found)
			require.LessOrEqual(t, len(head)*6, len(before)*8, "bits before the value")
			require.GreaterOrEqual(t, (len(encoded)-len(tail))*6, (len(before)+len(value))*8, "bits up to the end of the value")
			require.True(t, strings.HasPrefix(encoded, head) && strings.HasSuffix(encoded, tail))
		})
	})

	t.Run("a line of a long value is masked alone", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{"-----BEGIN KEY-----\nMIIEvQIBADANBg\nshort\n-----END KEY-----\n"})
		require.Equal(t, "line 2: *** and short", m.Text("line 2: MIIEvQIBADANBg and short"))
	})

	t.Run("overlapping values become one mask", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{"abcdef", "defghi"})
		require.Equal(t, "x***y", m.Text("xabcdefghiy"))
		require.Equal(t, "***", m.Text("abcdefabcdef"))
	})

	t.Run("values that are too short to be secrets stay", func(t *testing.T) {
		t.Parallel()
		require.Nil(t, secrets.NewMasker([]string{"abc", ""}))
		require.Equal(t, "abc", secrets.NewMasker(nil).Text("abc"))
		require.Equal(t, "abc", masked(t, nil, "abc", []int{1}))
	})

	t.Run("writes of any size give the same result, without any value", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			// Few letters, so that values overlap with themselves and with each other.
			values := rapid.SliceOfN(rapid.StringMatching(`[ab]{4,9}`), 1, 3).Draw(t, "values")
			words := rapid.SliceOfN(rapid.OneOf(rapid.StringMatching(`[abc]{0,12}`), rapid.SampledFrom(values)), 0, 30).Draw(t, "words")
			sizes := rapid.SliceOfN(rapid.IntRange(1, 90_000), 1, 4).Draw(t, "sizes")
			text := strings.Repeat(strings.Join(words, ""), rapid.IntRange(1, 900).Draw(t, "times"))
			m := secrets.NewMasker(values)
			whole := m.Text(text)
			require.Equal(t, naive(text, values), whole)
			require.Equal(t, whole, masked(t, m, text, sizes))
			for _, value := range values {
				require.NotContains(t, whole, value)
			}
		})
	})

	t.Run("a value that repeats itself takes no longer", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{strings.Repeat("a", 32<<10)})
		require.Equal(t, "***", m.Text(strings.Repeat("a", 4<<20)))
	})
}

// naive masks a text by looking at each place.
func naive(text string, values []string) string {
	covered := make([]bool, len(text))
	for i := range text {
		for _, value := range values {
			if strings.HasPrefix(text[i:], value) {
				for j := range value {
					covered[i+j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range text {
		switch {
		case !covered[i]:
			b.WriteByte(text[i])
		case i == 0 || !covered[i-1]:
			b.WriteString("***")
		}
	}
	return b.String()
}
