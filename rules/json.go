package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/attune-go/attune"
)

// maxDepth bounds how deep objects and lists nest. It is far beyond what people send and far below what the parsers on
// the way would choke on.
const maxDepth = 100

// decodeObject decodes a JSON object of at most [attune.MaxPayloadBytes].
func decodeObject(raw json.RawMessage) (map[string]any, Mistakes) {
	if len(raw) > attune.MaxPayloadBytes {
		return nil, wrong(nil, "%d bytes are too many: use at most %d", len(raw), attune.MaxPayloadBytes)
	}
	value, mistakes := decode(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil, wrong(nil, "got %s, want a JSON object", kindOf(value))
	}
	return object, nil
}

// decode decodes one JSON value into nil, bool, int64, uint64, float64, string, []any and map[string]any.
func decode(raw json.RawMessage) (any, Mistakes) {
	value, err := decodeNumbersAsText(raw)
	if err != nil {
		return nil, wrong(nil, "not valid JSON: %s", err)
	}
	if err := checkText(raw); err != nil {
		return nil, wrong(nil, "%s", err)
	}
	return withNumbers(value, nil)
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
		return nil, errors.New("there is something behind the value")
	}
	return value, nil
}

// checkText refuses what JSON allows and a database does not store: invalid UTF-8, U+0000 and halves of surrogate pairs.
// raw is valid JSON.
func checkText(raw json.RawMessage) error {
	if !utf8.Valid(raw) {
		return errors.New("the text is not valid UTF-8")
	}
	for i := bytes.IndexByte(raw, '\\'); i >= 0 && i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++ // the escaped character
		if raw[i] != 'u' {
			continue
		}
		switch unit := escapedUnit(raw[i-1:]); {
		case unit == 0:
			return errors.New(`a string contains \u0000, which cannot be stored`)
		case isHigh(unit) && isLow(escapedUnit(raw[i+5:])):
			i += 10 // both halves
		case isHigh(unit) || isLow(unit):
			return fmt.Errorf(`a string contains \u%04x, one half of a character`, unit)
		}
	}
	return nil
}

// escapedUnit reads an escape of the form \uXXXX from the start of text, or returns -1.
func escapedUnit(text []byte) int64 {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return -1
	}
	unit, err := strconv.ParseInt(string(text[2:6]), 16, 64)
	if err != nil {
		return -1
	}
	return unit
}

func isHigh(unit int64) bool { return unit >= 0xD800 && unit <= 0xDBFF }

func isLow(unit int64) bool { return unit >= 0xDC00 && unit <= 0xDFFF }

// withNumbers replaces every json.Number in value, in place.
func withNumbers(value any, path []string) (any, Mistakes) {
	if len(path) > maxDepth {
		return nil, wrong(nil, "objects and lists nest deeper than %d levels", maxDepth)
	}
	var mistakes Mistakes
	switch v := value.(type) {
	case json.Number:
		return number(v, path)
	case map[string]any:
		for key := range v {
			if v[key], mistakes = withNumbers(v[key], child(path, key)); mistakes != nil {
				return nil, mistakes
			}
		}
	case []any:
		for i := range v {
			if v[i], mistakes = withNumbers(v[i], child(path, strconv.Itoa(i))); mistakes != nil {
				return nil, mistakes
			}
		}
	}
	return value, nil
}

// number converts a number to int64, uint64 or float64, whichever holds it.
func number(n json.Number, path []string) (any, Mistakes) {
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
		return nil, wrong(path, "number %s is out of range", shorten(text, 40))
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
