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

// receive reads the body of a request, at most limit bytes, and returns it with its claim to memory, which the caller releases. A
// body that is larger, late or incomplete is a [Problem]: a caller that disconnects is not an error of the server. A body that was
// given up for others, or found no room, is an [attune.CodeUnavailable] error.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, limit int) (*body, []byte, error) {
	claim := s.bodies.begin(r.Context(), w)
	deadlines := http.NewResponseController(w)
	_ = deadlines.SetReadDeadline(time.Now().Add(s.config.BodyTimeout)) // without deadlines on the connection, the server's apply
	data, err := claim.read(r, limit)
	if claim.arrived() {
		err = busyServer()
	}
	if err != nil {
		claim.release()
		return nil, nil, err
	}
	_ = deadlines.SetReadDeadline(time.Time{})
	return claim, data, nil
}

// firstRead is how many bytes the first read of a body may bring. Each time that the room is used up, it doubles.
const firstRead = 4 << 10

func (b *body) read(r *http.Request, limit int) (data []byte, err error) {
	body := http.MaxBytesReader(nil, r.Body, int64(limit))
	for err == nil {
		if len(data) == cap(data) {
			more := max(firstRead, cap(data))
			if err := b.reserve(int64(more)); err != nil {
				return nil, err
			}
			data = append(make([]byte, 0, cap(data)+more), data...)
		}
		var n int
		n, err = body.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
	}
	if errors.Is(err, io.EOF) {
		return data, nil
	}
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge("the body", limit)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, slowBody()
	}
	return nil, newProblem(http.StatusBadRequest, CodeMalformed, "the body did not arrive completely")
}

// bufferBody reads the body before the framework does: the framework responds to an incomplete body with 500, and accepts
// ambiguous members.
func (s *Server) bufferBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		next(ctx)
		return
	}
	r, w := humago.Unwrap(ctx)
	claim, data, err := s.receive(w, r, maxBodyBytes)
	if err == nil {
		defer claim.release()
		err = claim.awaitDecoding(r.Context(), len(data))
	}
	if err == nil {
		err = s.checkMembers(ctx.Operation(), data)
	}
	if err != nil {
		s.problem(r.Context(), err).ServeHTTP(w, r)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(data))
	next(ctx)
}

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
