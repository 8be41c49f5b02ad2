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

// gate is a TCP proxy between one process and one service. It forwards every byte until it is told to hold. Then it
// accepts bytes and delivers none, so that the process stops at a point of the test's choice: it waits for a reply that
// never comes.
type gate struct {
	listener net.Listener
	service  string // host:port

	toService, toProcess direction

	mu    sync.Mutex
	shut  bool
	conns []net.Conn
	wg    sync.WaitGroup
}

// direction is one direction through a gate, over all connections.
type direction struct {
	mu      sync.Mutex
	at      *regexp.Regexp // hold from the first match on; nil holds nothing
	holding chan struct{}  // closed when the first bytes are held
	held    bool
}

// gateTail is the number of forwarded bytes that are matched again, because a match may span two reads.
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

// address is the host:port of the service for the process.
func (g *gate) address() string { return g.listener.Addr().String() }

// through returns the URL of a service with the gate's address instead of the service's.
func (g *gate) through(t *testing.T, service string) string {
	t.Helper()
	u, err := url.Parse(service)
	require.NoError(t, err)
	u.Host = g.address()
	return u.String()
}

// hold makes the direction hold all bytes from the first match on. The returned channel is closed at that match.
func (d *direction) hold(at string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.holding, d.held = regexp.MustCompile(at), make(chan struct{}), false
	return d.holding
}

// pass reports whether the bytes of window after the first passed ones may be forwarded.
func (d *direction) pass(window []byte, passed int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	fresh := func(match []int) bool { return match[1] > passed } // the match ends in new bytes
	if !d.held && d.at != nil && slices.ContainsFunc(d.at.FindAllIndex(window, -1), fresh) {
		d.held = true
		close(d.holding)
	}
	return !d.held
}

// cut closes every connection and accepts no more. Held bytes are lost.
func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	_ = g.listener.Close()
	for _, conn := range g.conns {
		_ = conn.Close()
	}
}

// keep stores connections for cut. After a cut it closes them and returns false.
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

// carry forwards bytes until one side closes its connection, and then closes the other side, so that no service waits for
// a killed process.
func carry(to, from net.Conn, d *direction) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	buffer := make([]byte, 64<<10)
	var tail []byte
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			window := slices.Concat(tail, buffer[:n])
			if d.pass(window, len(tail)) {
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
