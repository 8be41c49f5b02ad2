package fxmodules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"

	"go.uber.org/dig"
	"go.uber.org/fx"
	"go.uber.org/fx/fxevent"

	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/internal/supervisor"
)

// Process is attune, running in its roles.
type Process struct {
	app        *fx.App
	log        *slog.Logger
	listener   net.Listener
	supervisor *supervisor.Supervisor
}

// Start builds and starts everything that the roles of cfg need. When something cannot be started, the rest is stopped
// again, and the error is what that part said.
func Start(ctx context.Context, cfg config.Config, version Version, log *slog.Logger) (*Process, error) {
	p := &Process{log: log}
	options := []fx.Option{
		Options(cfg, version, log), fx.WithLogger(func() fxevent.Logger { return quietly(log) }), fx.Populate(&p.supervisor),
	}
	if cfg.Has(config.RoleAPI) {
		options = append(options, fx.Populate(&p.listener))
	}
	p.app = fx.New(options...)
	err := p.app.Err()
	if err == nil {
		startCtx, cancel := context.WithTimeout(ctx, p.app.StartTimeout())
		defer cancel()
		err = p.app.Start(startCtx)
	}
	if err != nil {
		// dig wraps the cause in the path through the constructors. That path tells an operator nothing.
		return nil, errors.Join(dig.RootCause(err), p.stop(ctx))
	}
	log.Info("attune runs", "roles", cfg.Roles, "version", version)
	return p, nil
}

// Addr is where the API listens, or "" for a process without it.
func (p *Process) Addr() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// Wait returns when ctx ends, with nil, or when a part of the process has ended by itself, with an error that names it.
func (p *Process) Wait(ctx context.Context) error { return p.supervisor.Wait(ctx) }

// Stop stops everything, in the opposite order of the start, within the time that running actions are given. The end of
// ctx, which usually is what a process is stopped for, does not cut that short.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.stop(ctx); err != nil {
		return err
	}
	p.log.Info("attune has stopped")
	return nil
}

func (p *Process) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.app.StopTimeout())
	defer cancel()
	if err := p.app.Stop(ctx); err != nil {
		return fmt.Errorf("stop: %w", err)
	}
	return nil
}

// quietly logs the events of fx at level debug. Errors too: Start returns them to its caller, and once is enough.
func quietly(log *slog.Logger) fxevent.Logger {
	events := &fxevent.SlogLogger{Logger: log}
	events.UseLogLevel(slog.LevelDebug)
	events.UseErrorLevel(slog.LevelDebug)
	return events
}
