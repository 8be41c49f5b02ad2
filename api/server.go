package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/sources"
)

// Config is what the server is told.
type Config struct {
	Addr           string        // host:port to listen on; port 0 takes a free one. Default 127.0.0.1:8080
	Token          string        // the bearer token; required
	Version        string        // of attune, for the API description. Default "dev"
	RequestTimeout time.Duration // how long one request may take, more than 0. Default 30 s
	CheckTimeout   time.Duration // how long one readiness check may take, more than 0. Default 2 s
	ShutdownGrace  time.Duration // how long running requests may take once the server stops, more than 0. Default 10 s
}

// WithDefaults returns the configuration with every field that has a default filled in.
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
	return c
}

func (c Config) validate() error {
	switch {
	case c.Token == "":
		return attune.Errorf(attune.CodeInvalid, "the API has no token: set ATTUNE_API_TOKEN or ATTUNE_API_TOKEN_FILE")
	case c.RequestTimeout < 0 || c.CheckTimeout < 0 || c.ShutdownGrace < 0:
		return attune.Errorf(attune.CodeInvalid, "a time limit of the API is negative: use more than 0")
	}
	return nil
}

// Limits of the server that protect it from slow or careless callers.
const (
	maxBodyBytes      = attune.MaxPayloadBytes + 64<<10 // room for what surrounds a payload
	maxHeaderBytes    = 64 << 10
	readHeaderTimeout = 5 * time.Second
	bodyReadTimeout   = 15 * time.Second
	answerTimeout     = 30 * time.Second // for a large answer over a slow line
	idleTimeout       = 2 * time.Minute
)

// Server answers HTTP. Make one with [New]; it is safe for concurrent use.
type Server struct {
	config   Config
	deps     Deps
	webhooks *sources.Webhooks
	logger   *slog.Logger
	router   *router
	huma     huma.API
	handler  http.Handler
}

// New returns a server that does not listen yet. A missing token or dependency is an [attune.CodeInvalid] error.
func New(config Config, deps Deps) (*Server, error) {
	config, deps = config.WithDefaults(), deps.withDefaults()
	if err := errors.Join(config.validate(), deps.validate()); err != nil {
		return nil, fmt.Errorf("create the API: %w", err)
	}
	s := &Server{
		config: config, deps: deps, webhooks: sources.NewWebhooks(deps.LookupSecret), logger: deps.Logger, router: newRouter(),
	}
	s.huma = humago.New(s.router, s.humaConfig())
	s.huma.UseMiddleware(s.checkQuery, s.takeBody)
	describeDomain(s.huma.OpenAPI().Components.Schemas)
	s.registerEvents()
	s.registerWebhooks()
	s.registerActions()
	s.registerRules()
	s.registerEnforcements()
	s.registerExecutions()
	s.registerQueues()
	s.registerGrants()
	s.registerChanges()
	s.registerControl()
	s.registerDoctor()
	s.registerHealth()
	s.registerDescription()
	s.handler = s.chain()
	return s, nil
}

// chain is what every request passes, outermost first.
func (s *Server) chain() http.Handler {
	handler := s.limitTime(s.router.dispatch())
	handler = s.authenticate(handler)
	handler = sameOrigin(handler)
	handler = s.recoverPanics(handler)
	return s.observe(handler)
}

// Handler returns the whole API, for a test or another server.
func (s *Server) Handler() http.Handler { return s.handler }

// Listen takes the address. That it is taken is an error that says what to do.
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

// Serve answers requests until ctx ends, then takes no new ones and lets those that run finish within
// [Config.ShutdownGrace]. It closes the listener. A shutdown in time is no error.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	server := s.httpServer()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.logger.InfoContext(ctx, "the API listens", "addr", listener.Addr().String())

	select {
	case err := <-failed:
		return fmt.Errorf("serve the API: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.config.ShutdownGrace)
	defer cancel()
	err := server.Shutdown(grace)
	if err != nil {
		_ = server.Close() // the requests that are left have had their time
		err = fmt.Errorf("requests were still running after %s: %w", s.config.ShutdownGrace, err)
	}
	if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("stop the API: %w", err)
	}
	return nil
}

func (s *Server) httpServer() *http.Server {
	return &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readHeaderTimeout + bodyReadTimeout,
		WriteTimeout:      readHeaderTimeout + bodyReadTimeout + s.config.RequestTimeout + answerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
}
