package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
)

// jsonFormats tells the framework how to read and write bodies.
func jsonFormats() map[string]huma.Format {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decodeJSON}
	return map[string]huma.Format{"application/json": format, "json": format}
}

// decodeJSON decodes every JSON body. It does not convert the numbers of payloads and parameters: package rules does, and
// reports a number that is out of range with its location. Errors name the location in the document and the JSON kind that
// is expected there, never a Go type. decodeJSON refuses invalid UTF-8: Go's decoder would silently replace it.
func decodeJSON(data []byte, into any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not valid UTF-8")
	}
	generic, ok := into.(*any)
	if !ok {
		return plainJSONError(json.Unmarshal(data, into))
	}
	var checked json.RawMessage
	if err := json.Unmarshal(data, &checked); err != nil {
		return plainJSONError(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(checked))
	decoder.UseNumber()
	if err := decoder.Decode(generic); err != nil {
		return plainJSONError(err)
	}
	*generic = markFractions(*generic)
	return nil
}

// fraction is a number that is not written as a whole number. Go's decoder refuses "1e3" and "1.0" for an integer; the
// framework would accept them. The framework refuses a fraction where it expects an integer.
type fraction string

// markFractions replaces, in place, every number that is not written as a whole number by a [fraction].
func markFractions(value any) any {
	switch v := value.(type) {
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); errors.Is(err, strconv.ErrSyntax) {
			return fraction(v)
		}
	case map[string]any:
		for key := range v {
			v[key] = markFractions(v[key])
		}
	case []any:
		for i := range v {
			v[i] = markFractions(v[i])
		}
	}
	return value
}

// plainJSONError rewords an error of Go's JSON decoder that names a Go type.
func plainJSONError(err error) error {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s: got %s, want %s", mismatch.Field, attune.Shorten(mismatch.Value, maxQuoted), jsonKind(mismatch.Type))
}

// jsonKind names the kind of JSON value that a Go type decodes from.
func jsonKind(target reflect.Type) string {
	switch target.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return "text"
	}
}
