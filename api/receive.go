package api

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// receive reads the body of a request, at most limit bytes, and returns it with its claim to memory, which the caller releases. A
// body that is larger, late or incomplete is a [Problem]: a caller that disconnects is not an error of the server. A body that was
// given up for others, or found no room, is an [attune.CodeUnavailable] error.
func (s *Server) receive(w http.ResponseWriter, r *http.Request, limit int) (*bodyClaim, []byte, error) {
	claim := s.bodyMemory.begin(r.Context(), w)
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

func (c *bodyClaim) read(r *http.Request, limit int) (data []byte, err error) {
	body := http.MaxBytesReader(nil, r.Body, int64(limit))
	for err == nil {
		if len(data) == cap(data) {
			more := max(firstRead, cap(data))
			if err := c.reserve(int64(more)); err != nil {
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
