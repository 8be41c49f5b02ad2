package rabbitmq

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/readfile"
	"github.com/attune-go/attune/internal/retry"
)

const (
	heartbeat   = 10 * time.Second // a silent broker is noticed within 15 s
	dialTimeout = 10 * time.Second // TCP, TLS and AMQP handshake together
)

// Config holds the settings of a [Connection].
type Config struct {
	URL    string       // amqp://user:password@host:port/vhost, or amqps
	Name   string       // shown by the broker as the connection's name
	Logger *slog.Logger // nil discards the log
	// Rights says what to do when the broker refuses a right to the user of URL. It is logged with the refusal.
	Rights string
	// MaxBody is the size in bytes above which the body of a message is dropped when it arrives. 0 means that there is no limit.
	MaxBody int
}

// Connection is a supervised connection: while [Connection.Run] runs, a lost connection is replaced by a new one with new
// channels. A Connection is safe for concurrent use.
type Connection struct {
	config  Config
	uri     amqp.URI
	invalid error // why the configuration cannot work
	files   readfile.Reader

	mu       sync.Mutex       // guards the fields below
	link     *amqp.Connection // nil while disconnected
	changed  chan struct{}    // closed and replaced with every change of link or stopped
	failure  error            // why link is nil
	stopped  bool
	blocked  string     // why the broker has stopped reading from this connection; empty if it reads
	declared []Topology // repeated on every new link
}

// NewConnection returns a connection that connects in [Connection.Run]. If the URL cannot be parsed, every method returns
// [attune.CodeInvalid].
func NewConnection(config Config) *Connection {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	config.Logger = config.Logger.With("connection", config.Name)
	c := &Connection{config: config, changed: make(chan struct{})}
	uri, err := amqp.ParseURI(config.URL)
	if err != nil { // the cause quotes the URL, password included
		c.invalid = attune.Errorf(attune.CodeInvalid, "broker URL cannot be read: use amqp://user:password@host:port/vhost, "+
			"with reserved characters in user, password and vhost percent-encoded")
	}
	c.uri = uri
	return c
}

// Run connects, and reconnects whenever the connection is lost, until ctx ends; then it returns nil. It returns
// [attune.CodeInvalid] at once if the URL cannot be parsed. Run it once.
func (c *Connection) Run(ctx context.Context) error {
	if c.invalid != nil {
		return c.invalid
	}
	defer c.set(nil, errStopped, true)
	retry.Loop(ctx, c.connect, func(err error, pause time.Duration) {
		c.set(nil, err, false)
		c.config.Logger.Warn("broker connection is down", "error", err, "retry_in", pause)
	})
	return nil
}

// connect makes a connection and returns when the connection fails or is lost, or when ctx ends.
func (c *Connection) connect(ctx context.Context) error {
	link, err := c.dial(ctx)
	if err != nil {
		return dialError(c.uri, err)
	}
	defer func() { _ = link.CloseDeadline(time.Now().Add(closeTimeout)) }()
	closed := link.NotifyClose(make(chan *amqp.Error, 1))
	blocked := link.NotifyBlocked(make(chan amqp.Blocking, 1))
	if err := c.redeclare(ctx, link); err != nil {
		c.config.Logger.Error("broker topology not declared on the new connection", "error", err)
	}
	c.config.Logger.Info("broker connection is up", "address", hostPort(c.uri), "vhost", c.uri.Vhost)
	c.set(link, nil, false)
	for {
		select {
		case reply := <-closed:
			return unavailable(reasonOf(reply), "connection to RabbitMQ at %s was lost", hostPort(c.uri))
		case state, open := <-blocked:
			if !open {
				blocked = nil // the connection is closing: closed receives next
				continue
			}
			c.setBlocked(state)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (c *Connection) dial(ctx context.Context) (*amqp.Connection, error) {
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(c.config.Name)
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	address, secure, err := plain(c.config.URL, c.uri, c.files.Read)
	if err != nil {
		return nil, err
	}
	var socket net.Conn
	handshaken := func() bool { return true }
	link, err := amqp.DialConfig(address, amqp.Config{
		Heartbeat:  heartbeat,
		Properties: properties,
		Dial: func(network, address string) (net.Conn, error) {
			var dialer net.Dialer
			dialed, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			socket = dialed
			handshaken = context.AfterFunc(ctx, func() { _ = dialed.Close() })
			if socket, err = secure(ctx, dialed); err != nil {
				return nil, err
			}
			return newFrames(socket, c.config.MaxBody), nil
		},
	})
	handshaken()
	if err != nil && socket != nil { // the library does not close it
		_ = socket.Close()
	}
	return link, err
}

func (c *Connection) set(link *amqp.Connection, failure error, stopped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link, c.failure, c.stopped, c.blocked = link, failure, stopped, ""
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Connection) setBlocked(state amqp.Blocking) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !state.Active {
		c.blocked = ""
		c.config.Logger.Info("broker reads from the connection again")
		return
	}
	c.blocked = state.Reason
	c.config.Logger.Warn("broker has stopped reading from the connection", "reason", state.Reason)
}

func (c *Connection) blockedReason() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocked
}

// alive reports whether a link is open. It notices the end of a link before Run does.
func alive(link *amqp.Connection) bool { return link != nil && !link.IsClosed() }

// WaitReady returns when the connection is up. If ctx ends first, or Run has ended, the error is [attune.CodeUnavailable]
// and says why there is no connection.
func (c *Connection) WaitReady(ctx context.Context) error {
	_, err := c.wait(ctx)
	return err
}

func (c *Connection) wait(ctx context.Context) (*amqp.Connection, error) {
	for {
		c.mu.Lock()
		link, changed, failure, stopped := c.link, c.changed, c.failure, c.stopped
		c.mu.Unlock()
		switch {
		case c.invalid != nil:
			return nil, c.invalid
		case alive(link):
			return link, nil
		case stopped:
			return nil, c.missing(failure, nil)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, c.missing(failure, context.Cause(ctx))
		}
	}
}

// missing returns the error of a missing link. The failure of the last attempt to connect explains more than "not
// connected".
func (c *Connection) missing(failure, cause error) error {
	if coded, ok := errors.AsType[*attune.Error](failure); ok {
		if cause == nil {
			return failure
		}
		return unavailable(fmt.Errorf("%w (%w)", coded.Err, cause), "%s", coded.Message)
	}
	return unavailable(cmp.Or(failure, cause), "not connected to RabbitMQ at %s", hostPort(c.uri))
}

// Ping checks that the broker answers. It does not wait for a connection.
func (c *Connection) Ping(ctx context.Context) error {
	c.mu.Lock()
	link, failure := c.link, c.failure
	c.mu.Unlock()
	switch {
	case c.invalid != nil:
		return c.invalid
	case !alive(link):
		return c.missing(failure, nil)
	}
	opened, err := openChannel(ctx, link)
	if err != nil {
		return unavailable(err, "RabbitMQ at %s does not answer", hostPort(c.uri))
	}
	opened.discard()
	return nil
}

// open waits for a connection until ctx ends and returns a new channel.
func (c *Connection) open(ctx context.Context) (*channel, error) { return c.openAfter(ctx, ctx) }

// openAfter is open with a separate bound for the wait for a connection: a connected but busy broker has until the end of
// ctx to answer.
func (c *Connection) openAfter(connectCtx, ctx context.Context) (*channel, error) {
	for {
		link, err := c.wait(connectCtx)
		if err != nil {
			return nil, err
		}
		opened, err := openChannel(ctx, link)
		if err == nil {
			return opened, nil
		}
		if ctx.Err() != nil || alive(link) {
			return nil, unavailable(err, "no channel to RabbitMQ at %s", hostPort(c.uri))
		}
	}
}
