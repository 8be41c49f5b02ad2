package e2e_test

import (
	"net"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// gate stands between one process and one service and passes every byte on, until it is told to hold. From then on it takes
// what comes and delivers none of it, so that the process stands still at a point of the test's choice: it waits for the answer
// to what never arrived.
type gate struct {
	listener net.Listener
	service  string // its address

	toService, toProcess way

	mu    sync.Mutex
	shut  bool
	conns []net.Conn
	wg    sync.WaitGroup
}

// way is one direction through a gate, over all connections.
type way struct {
	mu      sync.Mutex
	at      *regexp.Regexp // hold at the first bytes that match; nil: nothing is to be held
	holding chan struct{}  // closed with the first bytes that are held
	held    bool
}

// gateTail is how much of what has passed is looked at again: what a hold waits for may come in two pieces.
const gateTail = 256

func newGate(t *testing.T, service string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	g := &gate{listener: listener, service: service}
	g.wg.Go(g.accept)
	t.Cleanup(func() { g.cut(); g.wg.Wait() })
	return g
}

// address is where the process finds the service.
func (g *gate) address() string { return g.listener.Addr().String() }

// through returns the URL of a service with the gate's address in place of its own.
func (g *gate) through(t *testing.T, service string) string {
	t.Helper()
	u, err := url.Parse(service)
	require.NoError(t, err)
	u.Host = g.address()
	return u.String()
}

// hold arms one way: nothing passes from the first bytes on that match. The channel is closed when there were some.
func (w *way) hold(at string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.holding, w.held = regexp.MustCompile(at), make(chan struct{}), false
	return w.holding
}

// pass reports whether the bytes behind the first passed ones of window may go on.
func (w *way) pass(window []byte, passed int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	fresh := func(match []int) bool { return match[1] > passed } // not from before the hold was armed
	if !w.held && w.at != nil && slices.ContainsFunc(w.at.FindAllIndex(window, -1), fresh) {
		w.held = true
		close(w.holding)
	}
	return !w.held
}

// cut ends every connection at once and takes no more. What is held is lost.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	_ = g.listener.Close()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
}

// keep remembers a connection, for cut, unless that has happened already.
func (g *gate) keep(conns ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		for _, conn := range conns {
			_ = conn.Close()
		}
		return false
	}
	g.conns = append(g.conns, conns...)
	return true
}

func (g *gate) accept() {
	for {
		process, err := g.listener.Accept()
		if err != nil {
			return
		}
		service, err := net.Dial("tcp", g.service)
		if err != nil {
			_ = process.Close()
			continue
		}
		if g.keep(process, service) {
			g.wg.Go(func() { carry(service, process, &g.toService) })
			g.wg.Go(func() { carry(process, service, &g.toProcess) })
		}
	}
}

// carry passes bytes on until one end is gone, and then takes the other away: nobody may think that a peer is still there
// that was killed.
func carry(to, from net.Conn, w *way) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buffer := make([]byte, 64<<10)
	var tail []byte
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			window := slices.Concat(tail, buffer[:n])
			if w.pass(window, len(tail)) {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
			tail = window[max(0, len(window)-gateTail):]
		}
		if err != nil {
			return
		}
	}
}
