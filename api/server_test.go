package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

var (
	errSecretCause = errors.New("password=hunter2 at 10.0.0.1")
	errDown        = attune.WrapError(attune.CodeUnavailable, errSecretCause, "the database does not answer")
)

func TestNew(t *testing.T) {
	t.Parallel()

	b := setup(t)
	var none *fakeExecutions
	b.deps.Callers, b.deps.Executions, b.deps.Queues = nil, none, nil
	_, err := api.New(b.config, b.deps)
	require.ErrorContains(t, err, "missing dependencies: Callers, Executions, Queues")
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))

	_, err = api.New(api.Config{CheckTimeout: -1}, setup(t).deps)
	require.ErrorContains(t, err, "negative")
}

// Only the listed routes need no token.
func TestAuthentication(t *testing.T) {
	t.Parallel()

	b := setup(t)
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		require.Equal(t, http.StatusOK, b.do(t, request{http.MethodGet, path, "", []string{"Authorization:"}}).Code, path)
	}
	for name, header := range map[string]string{
		"Missing":       "Authorization:",
		"Wrong":         "Authorization: Bearer 00000000000000000000000000000000",
		"Prefix":        "Authorization: Bearer " + apiToken[:len(apiToken)-1],
		"Longer":        "Authorization: Bearer " + apiToken + "0",
		"OtherScheme":   "Authorization: Basic " + apiToken,
		"SchemeMissing": "Authorization: " + apiToken,
		"Empty":         "Authorization: Bearer ",
	} {
		recorder := b.do(t, request{http.MethodGet, "/api/v1/events", "", []string{header}})
		requireProblem(t, recorder, 401, "unauthorized")
		require.Contains(t, recorder.Header().Get("WWW-Authenticate"), `Bearer realm="attune"`, name)
	}
	require.Equal(t, http.StatusOK, b.do(t, request{http.MethodGet, "/api/v1/events", "", []string{"Authorization: bearer  " + apiToken}}).Code)

	// Every path below /api/v1 needs the token, however it is written, and whether or not the route exists.
	for _, path := range []string{
		"/api/v1/openapi.json", "/api/v1/openapi.yaml", "/api/v1/nothing", "/api/v1/webhooks", "/api/v1/webhooks/", "/api/v1/",
		"/api/v1/webhooks/../events", "/api/v1//events", "//api/v1/events", "/%61pi/v1/events", "/api/v1/webhooks%2F../events",
	} {
		requireProblem(t, b.do(t, request{http.MethodGet, path, "", []string{"Authorization:"}}), 401, "unauthorized")
	}
	// A webhook is open to its method only.
	requireProblem(t, b.do(t, request{http.MethodGet, "/api/v1/webhooks/gh", "", []string{"Authorization:"}}), 401, "unauthorized")
}

func TestUnknownRoutes(t *testing.T) {
	t.Parallel()

	b := setup(t)
	problem := requireProblem(t, b.do(t, get("/api/v1/nothing")), 404, "not_found")
	require.Equal(t, "there is nothing at /api/v1/nothing", problem.Detail)
	requireProblem(t, b.do(t, request{http.MethodGet, "/", "", []string{"Authorization:"}}), 404, "not_found")
	requireProblem(t, b.do(t, get("/api/v1/events/")), 404, "not_found")
	requireProblem(t, b.do(t, get("/docs")), 404, "not_found")

	recorder := b.do(t, request{http.MethodDelete, "/api/v1/events", "", nil})
	problem = requireProblem(t, recorder, 405, "method_not_allowed")
	require.Equal(t, "GET, HEAD, POST", recorder.Header().Get("Allow"))
	require.Equal(t, "DELETE is not allowed at this path: use GET, HEAD, POST", problem.Detail)
	require.Equal(t, 1, b.metrics.of("DELETE unmatched Method Not Allowed"))

	recorder = b.do(t, request{"BREW", "/livez", "", nil})
	requireProblem(t, recorder, 405, "method_not_allowed")
	require.Equal(t, 1, b.metrics.of("OTHER unmatched Method Not Allowed"), "a caller cannot invent series")
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()

	b := setup(t)
	body := `{"trigger": "github.push", "payload": {}}`
	foreign := request{http.MethodPost, "/api/v1/events", body, []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"}}
	requireProblem(t, b.do(t, foreign), 403, "forbidden")
	same := request{http.MethodPost, "/api/v1/events", body, []string{"Sec-Fetch-Site: same-origin"}}
	require.Equal(t, http.StatusAccepted, b.do(t, same).Code)
	hook := delivery("gh", `{}`, "Origin: https://somewhere.example")
	require.Equal(t, http.StatusAccepted, b.do(t, hook).Code, "a webhook is signed, wherever it comes from")
}

func TestPanic(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.events.get = func(attune.EventID) (attune.Event, error) { panic("secret state") }
	recorder := b.do(t, get("/api/v1/events/7"))
	requireProblem(t, recorder, 500, "internal")
	require.NotContains(t, recorder.Body.String(), "secret state")
	require.Contains(t, b.log.String(), "secret state")
	require.Contains(t, b.log.String(), "request_id=test-request")
	require.Equal(t, 1, b.metrics.of("GET /api/v1/events/{id} Internal Server Error"))
}

// A handler may panic with http.ErrAbortHandler to drop the connection.
func TestPanicToAbort(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.events.get = func(attune.EventID) (attune.Event, error) { panic(http.ErrAbortHandler) }
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { b.do(t, get("/api/v1/events/7")) })
	require.Empty(t, b.log.String())
}

// A body that does not arrive is the caller's error, and nothing is recorded.
func TestBrokenBody(t *testing.T) {
	t.Parallel()

	cases := []struct {
		name   string
		path   string
		err    error
		status int
		code   string
	}{
		{"a body is cut", "/api/v1/events", io.ErrUnexpectedEOF, 400, "malformed"},
		{"a body is slow", "/api/v1/events", os.ErrDeadlineExceeded, 408, "timeout"},
		{"the body of a webhook is cut", "/api/v1/webhooks/gh", io.ErrUnexpectedEOF, 400, "malformed"},
		{"the body of a webhook is slow", "/api/v1/webhooks/gh", os.ErrDeadlineExceeded, 408, "timeout"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := post(tc.path, "").build(t)
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"trigger": "git`), iotest.ErrReader(tc.err)))
			recorder := httptest.NewRecorder()
			b.server(t).Handler().ServeHTTP(recorder, r)
			requireProblem(t, recorder, tc.status, tc.code)
			require.Empty(t, b.recorder.events)
		})
	}
}

// The cause of an internal error is in the log only, under the request id of the response.
func TestInternalErrorIsLogged(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.events.get = func(attune.EventID) (attune.Event, error) { return attune.Event{}, errSecretCause }
	recorder := b.do(t, get("/api/v1/events/7"))
	problem := requireProblem(t, recorder, 500, "internal")
	require.Equal(t, "urn:request:test-request", problem.Instance)
	require.Equal(t, requestID, recorder.Header().Get("X-Request-Id"))
	require.NotContains(t, recorder.Body.String(), "hunter2")
	require.Contains(t, b.log.String(), "hunter2")
	require.Contains(t, b.log.String(), "request_id=test-request")
}

func TestRequestID(t *testing.T) {
	t.Parallel()

	b := setup(t)
	seen := map[string]bool{}
	for _, given := range []string{"", " has space", " " + strings.Repeat("x", 65), " <script>"} {
		id := b.do(t, request{http.MethodGet, "/livez", "", []string{"X-Request-Id:" + given}}).Header().Get("X-Request-Id")
		require.Regexp(t, `^[A-Z2-7]{26}$`, id, "what cannot go into a log is replaced")
		require.False(t, seen[id])
		seen[id] = true
	}
}

func TestRequestTimeout(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.config.RequestTimeout = time.Millisecond
	b.deps.Packs = fakePacks{b.actions, blockedRules{b.rules}, b.triggers}
	problem := requireProblem(t, b.do(t, get("/api/v1/rules/github.deploy")), 503, "unavailable")
	require.Equal(t, "the request took too long", problem.Detail)
}

// blockedRules waits until the request is over.
type blockedRules struct{ *fakeRules }

func (blockedRules) Rule(ctx context.Context, _ attune.Ref) (attune.Rule, error) {
	<-ctx.Done()
	return attune.Rule{}, fmt.Errorf("read rule: %w", ctx.Err())
}

// One server serves many callers at once: a test for the race detector.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.deps.Checks = map[string]func(context.Context) error{"a": func(context.Context) error { return nil }}
	handler := b.server(t).Handler()
	requests := []request{
		post("/api/v1/events", `{"trigger": "github.push", "payload": {}}`), delivery("gh", `{}`), get("/api/v1/events?limit=0"),
		get("/api/v1/openapi.json"), get("/api/v1/openapi.yaml"), get("/readyz"), get("/nothing"), post("/api/v1/rules/github.deploy/enable", ""),
		post("/api/v1/actions/shop.deploy/run", `{}`), get("/api/v1/rules/nope"), {http.MethodGet, "/api/v1/events", "", []string{"Authorization:"}},
	}
	var group sync.WaitGroup
	for range 8 {
		for _, in := range requests {
			r := in.build(t)
			group.Go(func() { handler.ServeHTTP(discardResponse{}, r) })
		}
	}
	group.Wait()
	require.Equal(t, 8, b.metrics.of("event api"))
	require.Equal(t, 8, b.metrics.of("event webhook"))
	require.Equal(t, 8, b.metrics.of("event manual"))
}

type discardResponse struct{}

func (discardResponse) Header() http.Header            { return http.Header{} }
func (discardResponse) Write(data []byte) (int, error) { return len(data), nil }
func (discardResponse) WriteHeader(int)                {}

func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("the server serves and stops", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.ShutdownGrace = 2 * time.Minute // longer than the request below
		entered, release := make(chan struct{}), make(chan struct{})
		b.events.get = func(attune.EventID) (attune.Event, error) {
			close(entered)
			<-release
			return attune.Event{ID: 7, ReceivedAt: noon}, nil
		}
		server := b.server(t)
		ctx, stop := context.WithCancel(t.Context())
		listener, err := server.Listen(ctx)
		require.NoError(t, err)
		base := "http://" + listener.Addr().String()
		served := make(chan error, 1)
		go func() { served <- server.Serve(ctx, listener) }()

		require.Equal(t, http.StatusOK, fetch(t, base+"/livez"))

		// A request that runs when the server stops gets its response.
		answered := make(chan int, 1)
		go func() { answered <- fetch(t, base+"/api/v1/events/7") }()
		<-entered
		stop()
		require.Eventually(t, func() bool {
			conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		}, time.Minute, 5*time.Millisecond, "a stopping server takes no new connections")
		close(release)
		require.Equal(t, http.StatusOK, <-answered)
		require.NoError(t, <-served)
	})

	t.Run("an address is in use", func(t *testing.T) {
		t.Parallel()
		var config net.ListenConfig
		taken, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		t.Cleanup(func() { _ = taken.Close() })
		b := setup(t)
		b.config.Addr = taken.Addr().String()
		_, err = b.server(t).Listen(t.Context())
		require.ErrorContains(t, err, taken.Addr().String()+" is in use: stop the other process or set --http-addr / ATTUNE_HTTP_ADDR")
	})

	t.Run("an address belongs to another machine", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.Addr = "192.0.2.1:80" // reserved for documentation
		_, err := b.server(t).Listen(t.Context())
		require.ErrorContains(t, err, "cannot listen on 192.0.2.1:80: set --http-addr / ATTUNE_HTTP_ADDR")
	})

	// Requests that run longer than the grace period are cut off, and Serve returns an error.
	t.Run("the grace period ends", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.config.ShutdownGrace = 10 * time.Millisecond
		entered, release := make(chan struct{}), make(chan struct{})
		b.events.get = func(attune.EventID) (attune.Event, error) {
			close(entered)
			<-release
			return attune.Event{}, nil
		}
		server := b.server(t)
		ctx, stop := context.WithCancel(t.Context())
		listener, err := server.Listen(ctx)
		require.NoError(t, err)
		served := make(chan error, 1)
		go func() { served <- server.Serve(ctx, listener) }()
		var group sync.WaitGroup
		group.Go(func() { _ = fetch(t, "http://"+listener.Addr().String()+"/api/v1/events/7") })
		<-entered
		stop()
		require.ErrorContains(t, <-served, "requests were still running after 10ms")
		close(release)
		group.Wait()
	})
}

// fetch returns the status, or 0 without a response.
func fetch(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+apiToken)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return 0
	}
	return answer.StatusCode
}
