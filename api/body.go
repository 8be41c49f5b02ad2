package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/attune-go/attune"
)

// readBody reads the body of a request, at most [maxBodyBytes]. A body that is larger, late or incomplete is a [Problem].
// A caller that goes away leaves an incomplete body: that is no bug of the server.
func readBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBodyBytes))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge("the body", maxBodyBytes)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, slowBody()
	}
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, CodeMalformed, "the body did not arrive completely")
	}
	return body, nil
}

// takeBody reads the body before the framework does: the framework answers an incomplete one with 500.
func (s *Server) takeBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	_ = ctx.SetReadDeadline(time.Now().Add(bodyReadTimeout)) // a connection without deadlines has the server's
	body, err := readBody(r)
	if err != nil {
		s.problem(r.Context(), err).ServeHTTP(w, r)
		return
	}
	_ = ctx.SetReadDeadline(time.Time{})
	r.Body = io.NopCloser(bytes.NewReader(body))
	next(ctx)
}

// jsonFormats is how the framework reads and writes bodies.
func jsonFormats() map[string]huma.Format {
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: decodeJSON}
	return map[string]huma.Format{"application/json": format, "json": format}
}

// decodeJSON is the one reader of JSON bodies. It leaves the numbers of payloads and parameters to the engine, which says
// where one is out of range. Its errors name the place in the document and what is wanted there, no type of Go. What is not
// valid UTF-8 is refused: Go's decoder would replace it, and a text would pass that was never sent.
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
	*generic = wholeNumbers(*generic)
	return nil
}

// fraction is a number that is not written as a whole one: "1e3" and "1.0" are none for Go's decoder. The framework, which
// takes them for whole numbers, refuses a value of this type where it wants one.
type fraction string

// wholeNumbers replaces numbers that are not written as whole ones, in place.
func wholeNumbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if _, err := strconv.ParseInt(v.String(), 10, 64); errors.Is(err, strconv.ErrSyntax) {
			return fraction(v)
		}
	case map[string]any:
		for key := range v {
			v[key] = wholeNumbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = wholeNumbers(v[i])
		}
	}
	return value
}

// plainJSONError rewords an error of Go's JSON decoder that names a type of Go.
func plainJSONError(err error) error {
	mismatch, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s: got %s, want %s", mismatch.Field, attune.Shorten(mismatch.Value, maxQuoted), jsonKind(mismatch.Type))
}

// jsonKind names the kind of JSON value that a type of Go takes.
func jsonKind(wanted reflect.Type) string {
	switch wanted.Kind() {
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
