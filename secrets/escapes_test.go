package secrets_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune/secrets"
)

// escaped writes a value as the content of a JSON string. choose selects how each UTF-16 unit is written.
func escaped(value string, choose func(n int) int) string {
	var b strings.Builder
	for _, r := range value {
		short := map[rune]string{'"': `\"`, '\\': `\\`, '/': `\/`, '\n': `\n`, '\r': `\r`, '\t': `\t`}[r]
		switch way := choose(4); {
		case way == 0 && short != "":
			b.WriteString(short)
		case way <= 1 && r >= ' ' && r != '"' && r != '\\':
			b.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, map[bool]string{true: `\u%04x`, false: `\u%04X`}[way == 2], unit)
			}
		}
	}
	return b.String()
}

// TestMasker_Escapes masks values with the escapes that JSON libraries choose.
func TestMasker_Escapes(t *testing.T) {
	t.Parallel()

	t.Run("escapes of any library are masked", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{"Zq7+secret\"lé", "a&'<b>/c"})
		for _, text := range []string{
			`Zq7\u002Bsecret\u0022l\u00E9`, `Zq7\u002bsecret\"l\u00e9`, `Zq7+secret\u0022lé`, `a\u0026\u0027\u003Cb\u003E\/c`,
			`a\u0026\u0027\u003cb\u003e\u002Fc`,
		} {
			require.JSONEq(t, `{"token":"***"}`, m.Text(`{"token":"`+text+`"}`), text)
		}
	})

	t.Run("any choice of escapes is masked in writes of any size", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.StringOfN(rapid.RuneFrom([]rune("ab\\\"/+é€😀\n u0")), 4, 30, -1).Draw(t, "value")
			text := `["x` + escaped(value, func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "way") }) + `y"]`
			m := secrets.NewMasker([]string{value})
			shown := masked(t, m, text, rapid.SliceOfN(rapid.IntRange(1, 9), 1, 4).Draw(t, "sizes"))
			require.Equal(t, m.Text(text), shown)
			require.True(t, strings.HasPrefix(shown, `["x`) && strings.HasSuffix(shown, `y"]`), shown)
			require.Contains(t, shown, "***")
			var decoded []string
			require.NoError(t, json.Unmarshal([]byte(text), &decoded))
			require.NotContains(t, shown, text[3:len(text)-3])
		})
	})

	t.Run("a text without a value stays, whatever escapes it begins", func(t *testing.T) {
		t.Parallel()
		m := secrets.NewMasker([]string{"secret"})
		rapid.Check(t, func(t *rapid.T) {
			words := rapid.SliceOf(rapid.SampledFrom([]string{`\`, `\u`, `\ud83d`, `\uDE00`, `\u00`, "x", "\n", `\n`, "é", "\xff"})).Draw(t, "words")
			text := strings.Join(words, "")
			require.Equal(t, text, masked(t, m, text, rapid.SliceOfN(rapid.IntRange(1, 9), 1, 4).Draw(t, "sizes")))
			require.Equal(t, text+"***", m.Text(text+"secret"), "a begun escape hides no value")
		})
	})
}

// TestMasker_Wrapped masks base64 and hexadecimal that programs have broken into lines.
func TestMasker_Wrapped(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringMatching(`[a-z0-9]{8,90}`).Draw(t, "value")
		before := rapid.StringMatching(`[A-Z]{0,90}`).Draw(t, "before")
		after := rapid.StringMatching(`[A-Z]{0,90}`).Draw(t, "after")
		encoded := rapid.SampledFrom([]func([]byte) string{base64.StdEncoding.EncodeToString, hex.EncodeToString}).Draw(t, "encoding")
		width := rapid.IntRange(1, 80).Draw(t, "width")
		lineBreak := rapid.SampledFrom([]string{"\n", "\r\n", `\n`, `\r\n`, "\n    "}).Draw(t, "break")
		wrap := func(text string) string {
			var b strings.Builder
			for i := 0; i < len(text); i += width {
				b.WriteString(text[i:min(i+width, len(text))] + lineBreak)
			}
			return b.String()
		}
		m := secrets.NewMasker([]string{value})
		text := wrap(encoded([]byte(before + value + after)))
		shown := masked(t, m, text, rapid.SliceOfN(rapid.IntRange(1, 50), 1, 4).Draw(t, "sizes"))
		require.Equal(t, m.Text(text), shown)
		first, last := strings.Index(shown, "***"), strings.LastIndex(shown, "***")
		require.GreaterOrEqual(t, first, 0)
		require.True(t, strings.HasPrefix(text, shown[:first]) && strings.HasSuffix(text, shown[last+3:]))
		unwrapped := func(text string) int {
			return len(strings.ReplaceAll(strings.ReplaceAll(text, lineBreak, ""), " ", ""))
		}
		bits := len(encoded([]byte(strings.Repeat("x", 30)))) / 10 // of three bytes: 4 or 6 characters
		require.LessOrEqual(t, unwrapped(shown[:first]), len(before)*bits/3)
		require.LessOrEqual(t, unwrapped(shown[last+3:]), (len(after)*bits+2)/3+3)
	})

	t.Run("line breaks without end are passed on", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		w := secrets.NewMasker([]string{"secret"}).Writer(&out)
		for range 100 {
			_, err := w.Write(bytes.Repeat([]byte("\n"), 1<<10))
			require.NoError(t, err)
		}
		require.Greater(t, out.Len(), 50<<10)
	})
}

// TestMasker_JSON masks decoded texts and keys.
func TestMasker_JSON(t *testing.T) {
	t.Parallel()
	m := secrets.NewMasker([]string{`s3c"ret`})
	require.JSONEq(t, `{"***":["***",1.50,null,{"a\"b":"x *** <y>"}]}`,
		string(m.JSON(json.RawMessage(`{"s3c\u0022ret": ["s3c\"ret", 1.50, null, {"a\"b": "x s3c\u0022ret <y>"}]}`))))
	require.Equal(t, `["*** in JSON in JSON"]`, string(m.JSON(json.RawMessage(`["s3c\\u0022ret in JSON in JSON"]`))))
	require.Equal(t, ` [ "\u0041", 12345678901234567890 ] `, string(m.JSON(json.RawMessage(` [ "\u0041", 12345678901234567890 ] `))))
	require.Nil(t, m.JSON(nil))
	var none *secrets.Masker
	require.Equal(t, `"x"`, string(none.JSON(json.RawMessage(`"x"`))))
}
