package attune

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckText checks a short text that a caller sends: a name, note, key or filter. It accepts one line of valid UTF-8, from 0 to
// maxBytes bytes. It refuses control characters (Unicode category Cc), line and paragraph separators, and the characters that
// change the direction of text. PostgreSQL cannot store NUL, and the other characters can make a text look like a different
// text in a terminal or a log. It also refuses U+FFFD, which decoders put in the place of what they cannot decode: two different
// keys would become the same key.
//
// The error is [CodeInvalid]. It names the field and quotes at most the first 20 bytes of the text.
func CheckText(field, text string, maxBytes int) error {
	if len(text) > maxBytes {
		return Errorf(CodeInvalid, "%s: %d bytes are too many: use %d or less", field, len(text), maxBytes)
	}
	if !utf8.ValidString(text) {
		return Errorf(CodeInvalid, "%s: %s is not valid UTF-8", field, quotePrefix(text))
	}
	if i := strings.IndexFunc(text, unprintable); i >= 0 {
		r, _ := utf8.DecodeRuneInString(text[i:])
		return Errorf(CodeInvalid, "%s: %s contains the character %U: use one line of text without control characters",
			field, quotePrefix(text), r)
	}
	return nil
}

// unprintable reports whether a character hides something: it is invisible and changes how the text around it looks, or it stands
// for text that was lost.
func unprintable(r rune) bool {
	switch {
	case unicode.IsControl(r), r == '\u2028', r == '\u2029', r == utf8.RuneError:
		return true
	case '\u202A' <= r && r <= '\u202E', '\u2066' <= r && r <= '\u2069': // embeddings, overrides and isolates
		return true
	default:
		return false
	}
}

// quotedBytes bounds how much of a refused text an error quotes.
const quotedBytes = 20

// quotePrefix quotes the start of text in ASCII.
func quotePrefix(text string) string {
	if len(text) <= quotedBytes {
		return strconv.QuoteToASCII(text)
	}
	return strconv.QuoteToASCII(text[:quotedBytes]) + "…"
}

// EscapeText returns a text that is safe to print to a terminal. It writes every character that [CheckText] refuses as an escape
// such as \u001b, and every byte that is not UTF-8 as an escape such as \xff. It keeps line breaks, tabs and U+FFFD.
func EscapeText(text string) string {
	var b strings.Builder
	for rest := text; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, rest[0])
		case r != '\n' && r != '\t' && r != utf8.RuneError && unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteString(rest[:size])
		}
		rest = rest[size:]
	}
	return b.String()
}
