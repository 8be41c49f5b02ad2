package testenv

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy is a TCP proxy between clients and one service. It forwards every byte until a test disturbs it.
type Proxy struct {
	listener net.Listener
	service  string // host:port
	wg       sync.WaitGroup

	flow  sync.RWMutex // write-locked while the proxy is frozen
	mu    sync.Mutex   // guards the fields below
	thaw  func()       // ends the last Freeze
	done  bool
	links []*link
}

// link is one connection through the proxy.
type link struct {
	client, service net.Conn
	silent          atomic.Bool
}

// NewProxy starts a proxy to the service at host:port. It ends with the test.
func NewProxy(t testing.TB, service string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	p := &Proxy{listener: listener, service: service, thaw: func() {}}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		p.Close()
		p.wg.Wait()
	})
	return p
}

// Address returns the host:port that the proxy listens on.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// Through returns the URL of the service with the proxy's address instead of the service's.
func (p *Proxy) Through(t testing.TB, service string) string {
	t.Helper()
	parsed, err := url.Parse(service)
	if err != nil {
		t.Fatalf("address of a service: %v", err)
	}
	parsed.Host = p.Address()
	return parsed.String()
}

// Silence makes the proxy drop every byte of the open connections, in both directions, for ever. Neither side notices:
// the proxy keeps both connections open and acknowledges the bytes that it drops, even when one side closes its
// connection. New connections work.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, link := range p.links {
		link.silent.Store(true)
	}
}

// Cut closes the open connections. New connections work.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, link := range p.links {
		link.close()
	}
}

// Freeze holds back every byte until thaw is called or the proxy is closed.
func (p *Proxy) Freeze() (thaw func()) {
	p.flow.Lock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thaw = sync.OnceFunc(p.flow.Unlock)
	return p.thaw
}

// Close closes the open connections and accepts no more. Bytes that a Freeze held back are lost.
func (p *Proxy) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = true
	p.listener.Close()
	for _, link := range p.links {
		link.close()
	}
	p.thaw()
}

// Accepted returns the number of connections since the start.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		service, err := net.Dial("tcp", p.service)
		if err != nil {
			client.Close()
			continue
		}
		p.connect(&link{client: client, service: service})
	}
}

func (p *Proxy) connect(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		l.close()
		return
	}
	p.links = append(p.links, l)
	p.wg.Go(func() { p.carry(l, l.service, l.client) })
	p.wg.Go(func() { p.carry(l, l.client, l.service) })
}

// carry forwards bytes until one side closes its connection. Then it closes the other side, unless the link is silent.
func (p *Proxy) carry(l *link, to, from net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if l.silent.Load() {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if writeErr := p.write(to, buffer[:n]); writeErr != nil {
				err = writeErr
			}
		}
		if err != nil {
			l.close()
			return
		}
	}
}

func (p *Proxy) write(to net.Conn, data []byte) error {
	p.flow.RLock()
	defer p.flow.RUnlock()
	_, err := to.Write(data)
	return err
}

func (l *link) close() {
	l.client.Close()
	l.service.Close()
}
