package attune

import "strings"

// maxQuoted bounds how much of an invalid name an error message quotes, in bytes.
const maxQuoted = 40

// Shorten returns text unchanged when it has at most limit bytes. Otherwise it returns the beginning of text and "…", at most
// limit bytes in all, without a broken character. limit is 3 or more. It keeps messages short that quote input of a caller.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}
