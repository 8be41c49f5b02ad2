package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"golang.org/x/time/rate"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/sources"
)

// Config is the configuration of the server.
type Config struct {
	Addr           string        // host:port to listen on; port 0 picks a free port. Default 127.0.0.1:8080
	TLS            *tls.Config   // nil: the API speaks HTTP
	Version        string        // attune's version, for the OpenAPI document. Default "dev"
	RequestTimeout time.Duration // longest time of one request; 0 means the default, 30 s
	CheckTimeout   time.Duration // longest time of one readiness check; 0 means the default, 2 s
	ShutdownGrace  time.Duration // how long running requests may take once the server stops; 0 means the default, 10 s
	HeaderTimeout  time.Duration // longest time in which the headers of a request arrive; 0 means the default, 5 s
	BodyTimeout    time.Duration // longest time in which the body of a request arrives; 0 means the default, 15 s
	// MaxConnections is how many connections may be open: see [connections]. 0 means the default, 4096. It is never more than half
	// of the file descriptors that the process may have.
	MaxConnections int

	// Limits of this process, per second; 0 sets none. A caller, a trigger or an address that was quiet may send the double at once.
	CallerRate  int // requests of each caller
	WebhookRate int // deliveries to each trigger
	FailureRate int // failed authentications of each remote address
}

// WithDefaults returns the configuration with defaults in its zero fields.
func (c Config) WithDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:8080"
	}
	if c.Version == "" {
		c.Version = "dev"
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 30 * time.Second
	}
	if c.CheckTimeout == 0 {
		c.CheckTimeout = 2 * time.Second
	}
	if c.ShutdownGrace == 0 {
		c.ShutdownGrace = 10 * time.Second
	}
	if c.HeaderTimeout == 0 {
		c.HeaderTimeout = 5 * time.Second
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = 15 * time.Second
	}
	if c.MaxConnections == 0 {
		c.MaxConnections = 4096
	}
	return c
}

func (c Config) validate() error {
	if min(c.RequestTimeout, c.CheckTimeout, c.ShutdownGrace, c.HeaderTimeout, c.BodyTimeout) < 0 {
		return attune.Errorf(attune.CodeInvalid, "a time limit of the API is negative: use more than 0")
	}
	if min(c.CallerRate, c.WebhookRate, c.FailureRate, c.MaxConnections) < 0 {
		return attune.Errorf(attune.CodeInvalid, "a limit of the API is negative: use 0 or more")
	}
	return nil
}

// Limits that protect the server from slow and oversized requests.
const (
	envelopeBytes  = 64 << 10 // what a body has around its payload: other members, with every character as an escape
	maxBodyBytes   = attune.MaxPayloadBytes + envelopeBytes
	maxHeaderBytes = 64 << 10
	writeTimeout   = 30 * time.Second // to send a large response over a slow connection
	idleTimeout    = 2 * time.Minute
)

// Server serves the HTTP API. Create it with [New]. It does not change after that, and is safe for concurrent use.
type Server struct {
	config      Config
	deps        Deps
	webhooks    *sources.Webhooks
	logger      *slog.Logger
	rates       *rates
	bodyMemory  *bodyMemory
	connections *connections
	router      *router
	denials     *denials
	checkLogs   map[string]*rate.Sometimes // by readiness check
	huma        huma.API
	handler     http.Handler
	tries       chan struct{} // holds an element for each what-if that runs
}

// New returns a server that does not listen yet: see [Server.Listen] and [Server.Serve].
// A missing dependency is an [attune.CodeInvalid] error, a route without a right an [attune.CodeInternal] error.
func New(config Config, deps Deps) (*Server, error) {
	config, deps = config.WithDefaults(), deps.withDefaults()
	if err := errors.Join(config.validate(), deps.validate()); err != nil {
		return nil, fmt.Errorf("create the API: %w", err)
	}
	s := &Server{
		config: config, deps: deps, webhooks: sources.NewWebhooks(deps.LookupSecret), logger: deps.Logger,
		rates: newRates(config), bodyMemory: newBodyMemory(maxReceived, maxDecoded), router: newRouter(),
		denials: newDenials(), checkLogs: newCheckLogs(deps.Checks), tries: make(chan struct{}, maxTries),
	}
	s.connections = newConnections(config.MaxConnections, func() {
		deps.Metrics.RateLimited(context.Background(), string(LimitedConnections))
	})
	s.huma = humago.New(s.router, s.humaConfig())
	s.huma.UseMiddleware(s.checkParameters, s.bufferBody, s.addEntry)
	describeDomain(s.huma.OpenAPI().Components.Schemas)
	s.registerEvents()
	s.registerWebhooks()
	s.registerActions()
	s.registerRules()
	s.registerEnforcements()
	s.registerExecutions()
	s.registerQueues()
	s.registerQueue()
	s.registerGrants()
	s.registerLanes()
	s.registerChanges()
	s.registerQueuePolicies()
	s.registerGates()
	s.registerTry()
	s.registerExplain()
	s.registerControl()
	s.registerPolicies()
	s.registerEnforcementControl()
	s.registerSecrets()
	s.registerDoctor()
	s.registerIdentity()
	s.registerTokens()
	s.registerAudit()
	s.registerHealth()
	s.registerDescription()
	if err := s.router.check(); err != nil {
		return nil, fmt.Errorf("create the API: %w", err)
	}
	s.handler = s.chain()
	return s, nil
}

// chain returns the handler of every request: the routes inside all middleware. The last one added is the outermost.
func (s *Server) chain() http.Handler {
	handler := s.limitTime(s.router.dispatch())
	handler = s.authorize(handler)
	handler = singleHeaders(sameOrigin(handler))
	handler = s.recoverPanics(handler)
	return s.connections.serve(s.observe(handler))
}

// Handler returns the handler of the whole API, for a test or another server.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen listens on [Config.Addr]. An address in use is an [attune.CodeUnavailable] error, an address that cannot be used is
// an [attune.CodeInvalid] error.
func (s *Server) Listen(ctx context.Context) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", s.config.Addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, attune.WrapError(attune.CodeUnavailable, err,
			"%s is in use: stop the other process or set --http-addr / ATTUNE_HTTP_ADDR", s.config.Addr)
	case err != nil:
		return nil, attune.WrapError(attune.CodeInvalid, err,
			"cannot listen on %s: set --http-addr / ATTUNE_HTTP_ADDR to host:port of this machine", s.config.Addr)
	}
	return listener, nil
}

// Serve serves requests until ctx ends. Then it accepts no new requests, and running requests may finish within
// [Config.ShutdownGrace]. It closes the listener. It returns nil after a shutdown in time, else an error.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	serving, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	server := s.httpServer()
	server.BaseContext = func(net.Listener) context.Context { return context.WithValue(serving, servingKey{}, serving) }
	failed := make(chan error, 1)
	serve := server.Serve
	if s.config.TLS != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") } // the files are in the configuration
	}
	go func() { failed <- serve(listener) }()
	s.logger.InfoContext(ctx, "the API listens", "addr", listener.Addr().String(), "tls", s.config.TLS != nil)

	select {
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		_ = server.Close() // the grace period is over: close the remaining connections
		err = fmt.Errorf("requests were still running after %s: %w", s.config.ShutdownGrace, err)
	}
	if serveErr := <-failed; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	if err != nil {
		return fmt.Errorf("stop the API: %w", err)
	}
	return nil
}

// httpServer speaks HTTP/1.1 only: one connection carries one request at a time, so bounds of connections bound requests.
func (s *Server) httpServer() *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           s.handler,
		TLSConfig:         s.config.TLS,
		Protocols:         protocols,
		ConnState:         s.connections.track,
		ConnContext:       s.connections.attach,
		ReadHeaderTimeout: s.config.HeaderTimeout,
		ReadTimeout:       s.config.HeaderTimeout + s.config.BodyTimeout,
		WriteTimeout:      s.config.HeaderTimeout + s.config.BodyTimeout + s.config.RequestTimeout + writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}
