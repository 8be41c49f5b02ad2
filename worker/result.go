package worker

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"
)

// maxResultDepth bounds how deep a result is nested, far below what readers of JSON give up at: Go's stops at 10 000, with what
// surrounds the result in a message.
const maxResultDepth = 500

// resultOf returns stdout as the result of the action if all of it is one JSON value, nested at most 500 deep, otherwise nil.
// What is no result stays readable in stdout.
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

// depthOf is how deep the lists and objects of valid JSON are nested.
func depthOf(raw []byte) int {
	depth, deepest, inText := 0, 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText && c == '\\':
			i++ // what follows is escaped
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
