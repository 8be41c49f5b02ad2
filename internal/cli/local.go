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

const (
	localStopTime = 30 * time.Second
	// temporalAddressEnv is where Temporal's library finds the server, and where its tools do.
	temporalAddressEnv = "TEMPORAL_ADDRESS"
)

// local is the services on this machine that a command started because no others were named.
type local struct{ set *services.Set }

// wanted is the services to start: those that neither cfg nor the environment name.
func wanted(cfg config.Config, lookup func(string) (string, bool), dir string) services.Config {
	want := services.Config{Dir: dir}
	if !cfg.PostgresURL.IsSet() {
		want.Postgres = &services.PostgresConfig{
			Port: cfg.Dev.Postgres, PortAdvice: portAdvice("dev.postgres_port", config.HowToSet("postgres.url")),
		}
	}
	if !cfg.AMQPURL.IsSet() {
		want.RabbitMQ = &services.RabbitMQConfig{
			Port: cfg.Dev.RabbitMQ, PortAdvice: portAdvice("dev.rabbitmq_port", config.HowToSet("amqp.url")),
		}
	}
	if _, set := lookup(temporalAddressEnv); !set {
		want.Temporal = &services.TemporalConfig{
			Port: cfg.Dev.Temporal, PortAdvice: portAdvice("dev.temporal_port", temporalAddressEnv),
			UI: true, UIPort: cfg.Dev.TemporalUI, UIPortAdvice: portAdvice("dev.temporal_ui_port", ""),
			SearchAttributes: map[string]string{workflows.QueueAttribute: "Keyword", workflows.ActionAttribute: "Keyword"},
		}
	}
	return want
}

// portAdvice says how to choose another port than one that is taken, and how to use the server that has it.
func portAdvice(setting, server string) string {
	advice := "choose another with " + config.HowToSet(setting) + " (0 takes a free one)"
	if server != "" {
		advice += ", or name a server to use instead with " + server
	}
	return advice
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
	if set.Postgres != nil {
		cfg.PostgresURL = config.NewURL(set.Postgres.URL())
	}
	if set.RabbitMQ != nil {
		cfg.AMQPURL = config.NewURL(set.RabbitMQ.URL())
	}
	if set.Temporal != nil {
		if err := os.Setenv(temporalAddressEnv, set.Temporal.Address()); err != nil {
			return cfg, nil, errors.Join(fmt.Errorf("set %s: %w", temporalAddressEnv, err), (&local{set}).stop(ctx))
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

// keepSecret reads a secret from a file in the data folder, or makes one and keeps it there, readable by the owner only. The
// folder exists.
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
	secret := generate()
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keep the secret in %q: %w", path, err)
	}
	return secret, nil
}
