package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/heap"
)

// edgeTimeout bounds every wait of these tests. It is long because other tests share the machine.
const edgeTimeout = 2 * time.Minute

// listen serves the bundle until the end of the test and returns the address.
func (b *bundle) listen(t *testing.T) string {
	t.Helper()
	server := b.server(t)
	ctx, stop := context.WithCancel(t.Context())
	listener, err := server.Listen(ctx)
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(ctx, listener) // an error: some connections do not end by themselves
	}()
	t.Cleanup(func() {
		stop()
		<-served
	})
	return listener.Addr().String()
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// dribble sends a text, and then a byte again and again until the other side closes the connection. It returns what came back.
func dribble(conn net.Conn, text string) (string, error) {
	if _, err := io.WriteString(conn, text); err != nil {
		return "", err
	}
	answered := make(chan struct{})
	go func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if _, err := io.WriteString(conn, "x"); err != nil {
					return
				}
			case <-answered:
				return
			}
		}
	}()
	defer close(answered)
	_ = conn.SetReadDeadline(time.Now().Add(edgeTimeout))
	answer, err := io.ReadAll(conn)
	if ended, ok := err.(net.Error); ok && ended.Timeout() { //nolint:errorlint // the error of the connection itself
		return "", fmt.Errorf("the connection was not closed: %w", err)
	}
	return string(answer), nil // a reset is an end, too
}

// requireClosed opens connections that send head, and then a byte again and again. The server answers each one, or not, as answered
// says, and closes it.
func (b *bundle) requireClosed(t *testing.T, connections int, head string, answered func(answer string) bool) {
	t.Helper()
	addr := b.listen(t)
	var callers errgroup.Group
	for range connections {
		conn := dial(t, addr)
		callers.Go(func() error {
			answer, err := dribble(conn, head)
			if err == nil && !answered(answer) {
				err = fmt.Errorf("answer %q", answer)
			}
			return err
		})
	}
	require.NoError(t, callers.Wait(), "every connection is closed, however the caller keeps it alive")
	require.Eventually(t, func() bool { return b.server(t).OpenConnections() == 0 }, edgeTimeout, 10*time.Millisecond)
}

func TestEdges_SlowHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.config.HeaderTimeout = 200 * time.Millisecond
	b.requireClosed(t, 100, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", func(answer string) bool {
		return !strings.HasPrefix(answer, "HTTP/1.1 200")
	})
}

func TestEdges_SlowBodies(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"of an event":   "POST /api/v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apiToken + "\r\n",
		"of a delivery": "POST /api/v1/webhooks/gh HTTP/1.1\r\nHost: x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.config.BodyTimeout = 200 * time.Millisecond
			const connections = 50
			b.requireClosed(t, connections, head+"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n{", func(answer string) bool {
				return answer == "" || strings.HasPrefix(answer, "HTTP/1.1 408 ")
			})
			require.Empty(t, b.recorder.events)
			require.Equal(t, connections, b.metrics.of(strings.Fields(head)[0]+" "+routeOf(head)+" Request Timeout"))
		})
	}
}

func routeOf(head string) string {
	return strings.Replace(strings.Fields(head)[1], "webhooks/gh", "webhooks/{key}", 1)
}

// TestEdges_TenThousandConnections opens 10 000 connections and sends on each a part of a request, or a part of a delivery's body.
// The server keeps no more than its limit, and answers every other caller.
func TestEdges_TenThousandConnections(t *testing.T) {
	t.Parallel()
	var files syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	const most = 200
	attackers := min(10_000, int(files.Cur)-2*most-500) // this process has one side of each connection, and both of some
	require.Greater(t, attackers, 2*most, "the limit of open files is too low for this test: %d", files.Cur)
	b := setup(t)
	b.config.MaxConnections = most
	b.config.HeaderTimeout, b.config.BodyTimeout = edgeTimeout, edgeTimeout // only the limit of connections closes them
	addr := b.listen(t)

	halves := []string{
		"GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: ", "",
		"POST /api/v1/webhooks/gh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500000\r\n\r\n{",
		"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", // a whole request: the connection is idle then
	}
	for n := range attackers {
		conn := dial(t, addr)
		_, _ = io.WriteString(conn, halves[n%len(halves)]) // an error: it was closed already
		require.LessOrEqual(t, b.server(t).OpenConnections(), most+1)
	}
	require.Eventually(t, func() bool { return b.metrics.of("limited connections") >= attackers-most }, edgeTimeout, 10*time.Millisecond)

	caller := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: edgeTimeout}
	for range 100 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/api/v1/events", nil)
		require.NoError(t, err)
		request.Header.Set("Authorization", "Bearer "+apiToken)
		response, err := caller.Do(request)
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, response.Body)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.LessOrEqual(t, b.server(t).OpenConnections(), most)
}

// TestEdges_BusyConnectionsStay opens more connections than the limit while requests run: those get their responses.
func TestEdges_BusyConnectionsStay(t *testing.T) {
	t.Parallel()
	const most = 20
	b := setup(t)
	b.config.MaxConnections = most
	entered, release := make(chan struct{}, most), make(chan struct{})
	b.events.get = func(attune.EventID) (attune.Event, error) {
		entered <- struct{}{}
		<-release
		return attune.Event{ID: 7, ReceivedAt: noon}, nil
	}
	addr := b.listen(t)
	var busy sync.WaitGroup
	codes := make(chan int, most)
	for range most - 1 {
		busy.Go(func() { codes <- fetch(t, "http://"+addr+"/api/v1/events/7") })
	}
	for range most - 1 {
		<-entered
	}
	for range 5 * most {
		dial(t, addr)
	}
	require.Eventually(t, func() bool { return b.metrics.of("limited connections") >= 4*most }, edgeTimeout, 10*time.Millisecond)
	close(release)
	busy.Wait()
	close(codes)
	for code := range codes {
		require.Equal(t, http.StatusOK, code)
	}
}

// TestEdges_BodiesTogether sends 50 of the largest bodies at once. All are accepted, and the memory for all together is bounded: one
// such body takes more than 20 MB while it is decoded.
func TestEdges_BodiesTogether(t *testing.T) { //nolint:paralleltest // it measures the heap of the process
	b := setup(t)
	b.config.RequestTimeout = edgeTimeout // a busy machine decodes slowly
	addr := b.listen(t)
	payload := `{"x":[` + strings.Repeat("0,", attune.MaxPayloadBytes/2-10) + `0]}`
	body := `{"trigger":"github.push","payload":` + payload + `}`
	const bodies = 50
	send := func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/api/v1/events", strings.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+apiToken)
		request.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusAccepted {
			text, _ := bufio.NewReader(response.Body).ReadString('\n')
			return fmt.Errorf("%s: %s", response.Status, text)
		}
		return nil
	}
	peak := heap.Peak(func() {
		var callers errgroup.Group
		for range bodies {
			callers.Go(send)
		}
		require.NoError(t, callers.Wait())
	})
	t.Logf("%d bodies of %d KiB at once: the heap grew by %d MiB at most", bodies, len(body)>>10, peak>>20)
	require.Less(t, peak, uint64(500<<20))
	require.Equal(t, bodies, b.metrics.of("event api"))
}
