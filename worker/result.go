package worker

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Bounds of a result, far inside what PostgreSQL's jsonb can parse and store. The exponent is also the one at which other
// readers give up, and bounds the text that a short number becomes.
const (
	maxResultDepth    = 500
	maxNumberLength   = 1000
	maxNumberExponent = 308
)

// resultOf returns stdout as the result of the action if all of it is one JSON value, otherwise nil.
//
// A value that PostgreSQL's jsonb refuses is no result either, although it is valid JSON: U+0000, half a surrogate
// pair, a number of absurd size, or nesting beyond reason. It stays readable in stdout.
func resultOf(stdout *capture) json.RawMessage {
	if stdout.truncated() {
		return nil
	}
	raw := bytes.TrimSpace(stdout.bytes())
	if !json.Valid(raw) || !utf8.Valid(raw) || !storableJSON(raw) {
		return nil
	}
	return raw
}

// storableJSON walks valid JSON and looks for what jsonb refuses.
func storableJSON(raw []byte) bool {
	depth := 0
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '[' || c == '{':
			if depth++; depth > maxResultDepth {
				return false
			}
		case c == ']' || c == '}':
			depth--
		case c == '"':
			length, ok := scanString(raw[i:])
			if !ok {
				return false
			}
			i += length - 1
		case c == '-' || '0' <= c && c <= '9':
			length, ok := scanNumber(raw[i:])
			if !ok {
				return false
			}
			i += length - 1
		}
	}
	return true
}

// scanString returns the length of the string that raw begins with, quotes included.
func scanString(raw []byte) (length int, ok bool) {
	for i := 1; ; i++ {
		switch {
		case raw[i] == '"':
			return i + 1, true
		case raw[i] == '\\' && raw[i+1] == 'u':
			skip, ok := scanEscape(raw[i:])
			if !ok {
				return 0, false
			}
			i += skip - 1
		case raw[i] == '\\':
			i++
		}
	}
}

// scanEscape returns the length of the \uXXXX escape that raw begins with, or of the surrogate pair of two.
func scanEscape(raw []byte) (length int, ok bool) {
	const one = len(`\uXXXX`)
	switch unit := codeUnit(raw); {
	case unit == 0, 0xDC00 <= unit && unit <= 0xDFFF:
		return 0, false
	case 0xD800 <= unit && unit <= 0xDBFF:
		second := raw[one:]
		if second[0] != '\\' || second[1] != 'u' {
			return 0, false
		}
		low := codeUnit(second)
		return 2 * one, 0xDC00 <= low && low <= 0xDFFF
	default:
		return one, true
	}
}

// codeUnit reads the four digits of a \uXXXX escape, which are there because the JSON is valid.
func codeUnit(escape []byte) uint64 {
	unit, _ := strconv.ParseUint(string(escape[2:6]), 16, 16)
	return unit
}

// scanNumber returns the length of the number that raw begins with.
func scanNumber(raw []byte) (length int, ok bool) {
	length = len(raw) - len(bytes.TrimLeft(raw, "+-.0123456789eE"))
	_, exponent, found := bytes.Cut(bytes.ToLower(raw[:length]), []byte{'e'})
	if length > maxNumberLength || !found {
		return length, length <= maxNumberLength
	}
	n, err := strconv.Atoi(string(exponent))
	return length, err == nil && -maxNumberExponent <= n && n <= maxNumberExponent
}
