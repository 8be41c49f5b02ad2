package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/attune-go/attune"
)

// maxDepth bounds how deep objects and lists nest. Real payloads have far fewer levels, and every JSON parser accepts more.
const maxDepth = 100

// decodeObject decodes a JSON object of at most [attune.MaxPayloadBytes].
func decodeObject(raw json.RawMessage) (map[string]any, Mistakes) {
	if len(raw) > attune.MaxPayloadBytes {
		return nil, mistakeAt(nil, "%d bytes are too many: use at most %d", len(raw), attune.MaxPayloadBytes)
	}
	value, mistakes := decode(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, mistakeAt(nil, "got %s, want a JSON object", kindOf(value))
	}
	return object, nil
}

// decode decodes one JSON value into nil, bool, int64, uint64, float64, string, []any and map[string]any.
func decode(raw json.RawMessage) (any, Mistakes) {
	value, err := decodeNumbersAsText(raw)
	if err != nil {
		return nil, mistakeAt(nil, "not valid JSON: %s", err)
	}
	if !utf8.Valid(raw) {
		return nil, mistakeAt(nil, "the text is not valid UTF-8")
	}
	if depthOf(value) > maxDepth {
		return nil, mistakeAt(nil, "objects and lists nest deeper than %d levels", maxDepth)
	}
	return withNumbers(value)
}

// decodeNumbersAsText decodes one JSON value with its numbers as [json.Number].
func decodeNumbersAsText(raw json.RawMessage) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, errors.New("it ends too early")
		}
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is more text after the value")
	}
	return value, nil
}

// depthOf returns the number of levels of objects and lists: 0 for a text, 1 for a list of texts.
func depthOf(value any) int {
	depth := 0
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			depth = max(depth, depthOf(member))
		}
	case []any:
		for _, item := range v {
			depth = max(depth, depthOf(item))
		}
	default:
		return 0
	}
	return depth + 1
}

// withNumbers replaces every json.Number in value, in place.
func withNumbers(value any) (any, Mistakes) {
	var mistakes Mistakes
	switch v := value.(type) {
	case json.Number:
		return number(v)
	case map[string]any:
		for key, member := range v {
			if v[key], mistakes = withNumbers(member); mistakes != nil {
				return nil, mistakes.within(key)
			}
		}
	case []any:
		for i, item := range v {
			if v[i], mistakes = withNumbers(item); mistakes != nil {
				return nil, mistakes.within(strconv.Itoa(i))
			}
		}
	}
	return value, nil
}

// number converts a number to the first of int64, uint64 and float64 that can represent it.
func number(n json.Number) (any, Mistakes) {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") && text != "-0" { // an int has no negative zero
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i, nil
		}
		if u, err := strconv.ParseUint(text, 10, 64); err == nil {
			return u, nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return nil, mistakeAt(nil, "number %s is out of range", attune.Shorten(text, 40))
	}
	return f, nil
}

// walk calls visit for every string in a decoded value.
func walk(value any, path []string, visit func(path []string, s string)) {
	switch v := value.(type) {
	case string:
		visit(path, v)
	case map[string]any:
		for key, member := range v {
			walk(member, child(path, key), visit)
		}
	case []any:
		for i, item := range v {
			walk(item, child(path, strconv.Itoa(i)), visit)
		}
	}
}

// kindOf names the JSON type of a decoded value.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
