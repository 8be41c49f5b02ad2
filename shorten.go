package attune

import "strings"

// maxQuoted is how much of a wrong name a message of this package quotes.
const maxQuoted = 40

// Shorten returns text if it has at most limit bytes, and otherwise its beginning and "…", cut at a character. Messages
// quote what a caller sent with it: the input can be a megabyte, a message must not be. limit is at least 3.
func Shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return strings.ToValidUTF8(text[:limit-len("…")], "") + "…"
}
