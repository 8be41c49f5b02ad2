package fxmodules

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/fx"
)

// loops runs what runs for as long as the process does.
type loops struct {
	lifecycle fx.Lifecycle
	shutdown  fx.Shutdowner
	log       *slog.Logger
}

func newLoops(lifecycle fx.Lifecycle, shutdown fx.Shutdowner, log *slog.Logger) *loops {
	return &loops{lifecycle: lifecycle, shutdown: shutdown, log: log}
}

// add has run run from the start of the process to its stop. A loop that ends before it was told to ends the process with
// exit code 1: a process that does half of its work looks healthy and is not.
func (l *loops) add(name string, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	l.lifecycle.Append(fx.Hook{
		OnStart: func(context.Context) error {
			go func() {
				defer close(ended)
				err := run(ctx)
				if ctx.Err() != nil {
					return
				}
				l.log.Error("a part of the process ended by itself, the process stops", "part", name, "error", err)
				_ = l.shutdown.Shutdown(fx.ExitCode(1))
			}()
			return nil
		},
		OnStop: func(stop context.Context) error {
			cancel()
			select {
			case <-ended:
				return nil
			case <-stop.Done():
				return fmt.Errorf("stop %s: %w", name, stop.Err())
			}
		},
	})
}
