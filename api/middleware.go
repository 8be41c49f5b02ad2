package api

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// requestInfo identifies a request and the route that it matches. observe stores it in the context of the request.
type requestInfo struct {
	id      string // in the log, and in the response header X-Request-Id
	pattern string // pattern of the matched route ("GET /api/v1/events/{id}"); empty without one
	route   string // pattern without the method, or "unmatched"
}

type requestInfoKey struct{}

// requestInfoOf returns the info of a request's context, or the zero value for any other context.
func requestInfoOf(ctx context.Context) requestInfo {
	info, _ := ctx.Value(requestInfoKey{}).(requestInfo)
	return info
}

// requestIDPattern matches the request ids that attune accepts from a caller or proxy. They go into logs and headers.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// requestID returns the id that the request carries, or a new one if the request has none, several or one that attune does not
// accept. An id only names a request, so no request is refused for it: some proxies add a second id.
func requestID(r *http.Request) string {
	if given := r.Header.Values("X-Request-Id"); len(given) == 1 && requestIDPattern.MatchString(given[0]) {
		return given[0]
	}
	return rand.Text()
}

// observe stores the info of a request in its context, measures the request and logs it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, pattern := s.router.Handler(r)
		info := requestInfo{id: requestID(r), pattern: pattern, route: routeOf(pattern)}
		w.Header().Set("X-Request-Id", info.id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")

		recorder := &statusRecorder{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), requestInfoKey{}, info)
		next.ServeHTTP(recorder, r.WithContext(ctx))

		took := time.Since(start)
		method := knownMethod(r.Method)
		s.deps.Metrics.RequestServed(ctx, method, info.route, recorder.statusCode(), took)
		s.logger.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("request_id", info.id), slog.String("method", method),
			slog.String("path", r.URL.Path), slog.Int("status", recorder.statusCode()), slog.Duration("took", took))
	})
}

func routeOf(pattern string) string {
	if pattern == "" {
		return "unmatched"
	}
	_, route, _ := strings.Cut(pattern, " ")
	return route
}

// knownMethod bounds the number of metric series: a caller can send any word as a method.
func knownMethod(method string) string {
	known := []string{
		http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
	}
	if slices.Contains(known, method) {
		return method
	}
	return "OTHER"
}

// recoverPanics turns a panic into a 500 and a log entry with its stack.
func (s *Server) recoverPanics(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { s.handlePanic(w, r, recover()) }()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) handlePanic(w http.ResponseWriter, r *http.Request, cause any) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause) // how a handler asks net/http to drop the connection
	}
	s.logger.ErrorContext(r.Context(), "a request panicked", "request_id", requestInfoOf(r.Context()).id,
		"panic", cause, "stack", string(debug.Stack()))
	if recorder, ok := w.(*statusRecorder); ok && recorder.status == 0 {
		internalProblem(r.Context()).ServeHTTP(w, r)
	}
}

// limitTime cancels the context of a request after RequestTimeout. The handler then responds with 503.
func (s *Server) limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// statusRecorder remembers the status of a response, for metrics and logs.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *statusRecorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *statusRecorder) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *statusRecorder) statusCode() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
