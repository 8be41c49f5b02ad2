// Command attune-temporal is a Temporal server for development and tests: frontend, history, matching and the internal
// worker in one process on SQLite, with the web interface.
//
// It is a separate module, so that attune does not depend on the server. The limits on the size of histories and payloads
// are those of production, so that tests reach them too. Only rate limits are raised, because they protect shared
// clusters.
//
// The command prints one line when it accepts requests. It exits with status 0 on SIGINT or SIGTERM, and with status 1
// and a message when it cannot start.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/headers"

	ui "github.com/temporalio/ui-server/v2/server"
)

func main() {
	options, err := parseOptions(os.Args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		exit(err)
	case options.version:
		fmt.Println("Temporal server", headers.ServerVersion)
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	if err := serve(ctx, options); err != nil {
		exit(err)
	}
}

func exit(err error) {
	fmt.Fprintln(os.Stderr, "attune-temporal:", err)
	os.Exit(1)
}

// serve runs the server until ctx ends.
func serve(ctx context.Context, o options) error {
	if err := o.choosePorts(); err != nil {
		return err
	}
	logger, err := newLogger(o.logLevel)
	if err != nil {
		return err
	}
	server, err := newServer(o, logger)
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the Temporal server: %w", err)
	}
	stopUI := startUI(o)
	err = ready(ctx, o)
	if err == nil {
		fmt.Println(o.summary())
		<-ctx.Done()
	} else if ctx.Err() != nil {
		err = nil // ctx ended during the start
	}
	logger.silence()
	stopUI()
	if stopErr := server.Stop(); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop the Temporal server: %w", stopErr))
	}
	return err
}

// startUI serves the web interface, unless it is disabled, and returns a function that stops it.
func startUI(o options) (stop func()) {
	if o.uiPort == 0 {
		return func() {}
	}
	server := ui.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: o.frontend(),
		Host:                o.ip,
		Port:                o.uiPort,
		EnableUI:            true,
		DefaultNamespace:    o.namespaces[0],
		DisableNewsFetch:    true,
		HideLogs:            true,
		// Without TLS, a browser returns the CSRF token only if its cookie is allowed over plain HTTP.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}))
	go func() {
		if err := server.Start(); err != nil && !errors.Is(err, http.ErrServerClosed) {
			exit(fmt.Errorf("web interface: %w", err))
		}
	}()
	return server.Stop
}
