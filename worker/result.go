package worker

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxResultDepth bounds the nesting of a result. The limit stays far below the limits of JSON readers, even inside a
// message: Go's decoder stops at 10 000 levels.
const maxResultDepth = 500

// resultOf returns stdout as the result of the action if all of stdout is one JSON value, nested at most 500 deep;
// otherwise nil. Stdout is kept as text in either case.
func resultOf(stdout *capture) json.RawMessage {
	if stdout.truncated() {
		return nil
	}
	raw := bytes.TrimSpace(stdout.bytes())
	if !json.Valid(raw) || !utf8.Valid(raw) || depthOf(raw) > maxResultDepth {
		return nil
	}
	return raw
}

// depthOf returns the nesting depth of valid JSON.
func depthOf(raw []byte) int {
	depth, deepest, inText := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++ // the next byte is escaped
		case c == '"':
			inText = !inText
		case inText:
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
	}
	return deepest
}
