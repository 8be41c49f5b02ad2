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

// exchange is what is known about a request from its headers on.
type exchange struct {
	id      string // in the log, and in the X-Request-Id header of the answer
	pattern string // of the route that matched ("GET /api/v1/events/{id}"), or empty
	route   string // pattern without the method, or "unmatched"
}

type exchangeKey struct{}

// exchangeOf returns the request's exchange, or an empty one for a context that belongs to no request.
func exchangeOf(ctx context.Context) exchange {
	found, _ := ctx.Value(exchangeKey{}).(exchange)
	return found
}

// requestIDPattern is what is taken over from a caller or proxy: it goes into logs and headers.
var requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(r *http.Request) string {
	if given := r.Header.Get("X-Request-Id"); requestIDPattern.MatchString(given) {
		return given
	}
	return rand.Text()
}

// observe gives the request its exchange, measures it and logs it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		_, pattern := s.router.Handler(r)
		found := exchange{id: requestID(r), pattern: pattern, route: routeOf(pattern)}
		w.Header().Set("X-Request-Id", found.id)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")

		answer := &response{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), exchangeKey{}, found)
		next.ServeHTTP(answer, r.WithContext(ctx))

		took := time.Since(start)
		method := knownMethod(r.Method)
		s.deps.Metrics.RequestServed(ctx, method, found.route, answer.statusCode(), took)
		s.logger.LogAttrs(ctx, slog.LevelDebug, "request", slog.String("request_id", found.id), slog.String("method", method),
			slog.String("path", r.URL.Path), slog.Int("status", answer.statusCode()), slog.Duration("took", took))
	})
}

func routeOf(pattern string) string {
	if pattern == "" {
		return "unmatched"
	}
	_, route, _ := strings.Cut(pattern, " ")
	return route
}

// knownMethod keeps the number of metric series bounded: a caller can send any word as a method.
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
		defer func() { s.answerPanic(w, r, recover()) }()
		next.ServeHTTP(w, r)
	})
}

func (s *Server) answerPanic(w http.ResponseWriter, r *http.Request, cause any) {
	if cause == nil {
		return
	}
	if err, ok := cause.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(cause) // the server's own way to drop a connection
	}
	s.logger.ErrorContext(r.Context(), "a request panicked", "request_id", exchangeOf(r.Context()).id,
		"panic", cause, "stack", string(debug.Stack()))
	if answer, ok := w.(*response); ok && answer.status == 0 {
		internalProblem(r.Context()).ServeHTTP(w, r)
	}
}

// limitTime ends what a request waits for. The handlers answer with 503 then.
func (s *Server) limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), s.config.RequestTimeout)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// response remembers the status.
type response struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *response) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *response) Write(data []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(data)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (r *response) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *response) statusCode() int {
	if r.status == 0 {
		return http.StatusOK
	}
	return r.status
}
