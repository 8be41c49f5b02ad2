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

// Process is a running attune process.
type Process struct {
	app        *fx.App
	log        *slog.Logger
	listener   net.Listener
	supervisor *supervisor.Supervisor
	live       *live
	loops      *loops
}

// Start builds and starts the parts for the roles of cfg. If a part fails to start, Start stops the others and returns
// the error of that part.
func Start(ctx context.Context, cfg config.Config, version Version, log *slog.Logger) (*Process, error) {
	p := &Process{log: log}
	options := []fx.Option{
		Options(ctx, cfg, version, log), fx.WithLogger(func() fxevent.Logger { return quietly(log) }),
		fx.Populate(&p.supervisor, &p.live, &p.loops),
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
		// dig wraps the cause in the path through the constructors, which is of no use to an operator.
		return nil, errors.Join(dig.RootCause(err), p.stop(ctx))
	}
	log.Info("attune runs", "roles", cfg.Roles, "version", version)
	return p, nil
}

// Addr returns the address of the API, or "" for a process without the API.
func (p *Process) Addr() string {
	if p.listener == nil {
		return ""
	}
	return p.listener.Addr().String()
}

// Reload takes over the settings that can change while the process runs: the bootstrap token of the API, the keys of secrets, the
// signing keys of bridges, and the keys of bridges that workers trust. It also reads the files of TLS and of webhook secrets again. It
// logs each change, and keeps the old value of a setting that cannot be read. The caller owns the level of the log. Reload reports
// whether all could be used.
func (p *Process) Reload(next config.Config) bool { return p.live.reload(next) }

// Wait returns nil when ctx ends, or an error that names the first part that ended by itself.
func (p *Process) Wait(ctx context.Context) error { return p.supervisor.Wait(ctx) }

// LogEnd logs that the process is about to end without a stop, and how many executions of its worker end with it.
func (p *Process) LogEnd() {
	ended := 0
	if p.loops.executions != nil {
		ended = p.loops.executions()
	}
	p.log.Error("a second signal ends the process at once", "executions_ended", ended)
}

// Stop stops all parts in the reverse order of the start, within the stop time of the worker. Stop ignores the end of
// ctx, because the end of ctx is usually the reason to stop.
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

// quietly logs fx events at level debug. That includes errors, because Start returns them to its caller.
func quietly(log *slog.Logger) fxevent.Logger {
	events := &fxevent.SlogLogger{Logger: log}
	events.UseLogLevel(slog.LevelDebug)
	events.UseErrorLevel(slog.LevelDebug)
	return events
}
