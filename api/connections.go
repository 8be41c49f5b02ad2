package api

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// connections bounds the open connections of a server. A connection is busy while attune works for it; otherwise attune waits for
// its caller: for a request, its headers, or the body of a request that is not authenticated. When there are too many connections,
// attune closes the connection that has kept it waiting longest. So callers that are slow on purpose push each other out, and a
// caller that sends its request at once is served. It is safe for concurrent use.
type connections struct {
	most   int
	closed func() // called for each connection that is closed because there are too many

	mu      sync.Mutex
	open    map[net.Conn]*connection // guarded by mu
	waiting *list.List               // guarded by mu; of *connection, the longest wait first
}

// connection is an open connection.
type connection struct {
	conn    net.Conn
	waiting *list.Element // nil while the connection is busy or closed
}

func newConnections(most int, closed func()) *connections {
	return &connections{most: withinFiles(most), closed: closed, open: map[net.Conn]*connection{}, waiting: list.New()}
}

// withinFiles leaves half of the file descriptors that the process may have to everything else.
func withinFiles(most int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return most
	}
	return int(min(uint64(most), uint64(limit.Cur)/2)) //nolint:unconvert // Cur is signed on some systems
}

type connectionKey struct{}

// attach is the ConnContext of the server: it is called for every new connection, one after the other.
func (c *connections) attach(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c.add(conn))
}

// track is the ConnState of the server.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		c.remove(conn)
	}
}

func (c *connections) add(conn net.Conn) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	added := &connection{conn: conn}
	added.waiting = c.waiting.PushBack(added)
	c.open[conn] = added
	if len(c.open) > c.most {
		longest := c.waiting.Front().Value.(*connection) //nolint:forcetypeassert // the list holds nothing else
		c.drop(longest)
		c.closed()
	}
	return added
}

func (c *connections) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found, known := c.open[conn]; known {
		c.forget(found)
	}
}

// drop closes a connection. A TLS connection would first try to say so to the caller.
func (c *connections) drop(dropped *connection) {
	c.forget(dropped)
	conn := dropped.conn
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	_ = conn.Close()
}

func (c *connections) forget(gone *connection) {
	delete(c.open, gone.conn)
	if gone.waiting != nil {
		c.waiting.Remove(gone.waiting)
		gone.waiting = nil
	}
}

// busy marks the connection of a request as busy, or no longer. A request that did not come over a connection has none.
func (c *connections) busy(ctx context.Context, busy bool) {
	of, _ := ctx.Value(connectionKey{}).(*connection)
	if of == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch _, open := c.open[of.conn]; {
	case !open:
	case busy && of.waiting != nil:
		c.waiting.Remove(of.waiting)
		of.waiting = nil
	case !busy && of.waiting == nil:
		of.waiting = c.waiting.PushBack(of)
	}
}

// serve marks the connection of each request as busy while the request is handled.
func (c *connections) serve(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.busy(r.Context(), true)
		defer c.busy(r.Context(), false)
		next.ServeHTTP(w, r)
	})
}

// count returns how many connections are open.
func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
}
