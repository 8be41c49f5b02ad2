package testenv

import (
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy stands between clients and one service, over TCP, and passes every byte on until a test has it fall silent.
type Proxy struct {
	listener net.Listener
	service  string // host:port

	mu    sync.Mutex
	ended bool
	links []*link
	wg    sync.WaitGroup
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
	p := &Proxy{listener: listener, service: service}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		p.end()
		p.wg.Wait()
	})
	return p
}

// Through returns the URL of the service with the proxy's address in place of its own.
func (p *Proxy) Through(t testing.TB, service string) string {
	t.Helper()
	parsed, err := url.Parse(service)
	if err != nil {
		t.Fatalf("address of a service: %v", err)
	}
	parsed.Host = p.listener.Addr().String()
	return parsed.String()
}

// Silence drops from now on every byte of the connections that are open, in both directions, for ever. Neither side hears
// that: the proxy keeps both connections open and acknowledges what it drops, also when one side closes its own. New
// connections work.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, link := range p.links {
		link.silent.Store(true)
	}
}

// Accepted is how many connections were opened so far.
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
	if p.ended {
		l.close()
		return
	}
	p.links = append(p.links, l)
	p.wg.Go(func() { l.carry(l.service, l.client) })
	p.wg.Go(func() { l.carry(l.client, l.service) })
}

// carry passes bytes on until one side is gone, which the other side hears unless the link is silent.
func (l *link) carry(to, from net.Conn) {
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
			if _, failed := to.Write(buffer[:n]); failed != nil {
				err = failed
			}
		}
		if err != nil {
			l.close()
			return
		}
	}
}

func (l *link) close() {
	l.client.Close()
	l.service.Close()
}

func (p *Proxy) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.listener.Close()
	for _, link := range p.links {
		link.close()
	}
}
