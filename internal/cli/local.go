package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/workflows"
)

// localPorts are where `attune dev` puts what it starts: beside the usual ports of PostgreSQL and RabbitMQ, so that it does
// not collide with ones that already run, and on Temporal's own, so that its tools find it.
const (
	localPostgresPort   = 5433
	localRabbitMQPort   = 5673
	localTemporalPort   = 7233
	localTemporalUIPort = 8233
)

const localStopTime = 30 * time.Second

// local is the services on this machine that a command started because nobody named others.
type local struct{ set *services.Set }

// wanted is the services to start: those that neither cfg nor the environment name.
func wanted(cfg config.Config, lookup func(string) (string, bool), dir string) services.Config {
	want := services.Config{Dir: dir}
	if !cfg.PostgresURL.IsSet() {
		want.Postgres = &services.PostgresConfig{Port: localPostgresPort}
	}
	if !cfg.AMQPURL.IsSet() {
		want.RabbitMQ = &services.RabbitMQConfig{Port: localRabbitMQPort}
	}
	if _, set := lookup("TEMPORAL_ADDRESS"); !set {
		want.Temporal = &services.TemporalConfig{
			Port: localTemporalPort, UI: true, UIPort: localTemporalUIPort,
			SearchAttributes: map[string]string{workflows.QueueAttribute: "Keyword", workflows.ActionAttribute: "Keyword"},
		}
	}
	return want
}

// startLocal starts services and returns the configuration that uses them.
func startLocal(ctx context.Context, cfg config.Config, want services.Config, note func(string)) (config.Config, *local, error) {
	if want.Temporal != nil {
		want.Temporal.Note = note
	}
	set, err := services.Start(ctx, want)
	if err != nil {
		return cfg, nil, err
	}
	cfg = cfg.WithOverride("started by this command", func(c *config.Config) {
		if set.Postgres != nil {
			c.PostgresURL = config.NewURL(set.Postgres.URL())
		}
		if set.RabbitMQ != nil {
			c.AMQPURL = config.NewURL(set.RabbitMQ.URL())
		}
	}, "postgres.url", "amqp.url")
	if set.Temporal != nil {
		if err := os.Setenv("TEMPORAL_ADDRESS", set.Temporal.Address()); err != nil {
			return cfg, nil, errors.Join(fmt.Errorf("set TEMPORAL_ADDRESS: %w", err), (&local{set}).stop(ctx))
		}
	}
	return cfg, &local{set}, nil
}

// stop stops the services. The end of ctx does not cut that short.
func (l *local) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), localStopTime)
	defer cancel()
	if err := l.set.Stop(ctx); err != nil {
		return fmt.Errorf("stop the services: %w", err)
	}
	return nil
}

// keepSecret reads a secret from a file in the data folder, or makes one and keeps it there, readable by the owner only.
func keepSecret(dir, name string, generate func() string) (string, error) {
	path := filepath.Join(dir, name)
	data, err := os.ReadFile(path)
	if err == nil {
		if secret := strings.TrimSpace(string(data)); secret != "" {
			return secret, nil
		}
	} else if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("read the secret in %q: %w", path, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // services of root run as another user, who must pass through
		return "", fmt.Errorf("create the data folder: %w", err)
	}
	secret := generate()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the secret in %q: %w", path, err)
	}
	return secret, nil
}
