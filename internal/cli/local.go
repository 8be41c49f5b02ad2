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
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

const (
	localStopTime = 30 * time.Second
	// tokenFile is the file of the API's token in the data folder of `attune dev`.
	tokenFile = "token"
	// secretsKeyFile is the file of the key that encrypts secrets, in the data folder of `attune dev`.
	secretsKeyFile = "secrets.key"
	// bridgeKeyFile is the file of the key that signs for workers, in the data folder of `attune dev`.
	bridgeKeyFile = "bridge.key"
	// temporalAddressEnv names the address of the server for Temporal's library and tools.
	temporalAddressEnv = "TEMPORAL_ADDRESS"
)

// localServices are the services that a command has started on this machine.
type localServices struct{ set *services.Set }

// missingServices returns the services to start: the ones that neither cfg nor the environment names.
func missingServices(cfg config.Config, lookup func(string) (string, bool), dir string) services.Config {
	want := services.Config{Dir: dir, Passable: cfg.ActionUser != ""}
	if !cfg.PostgresURL.IsSet() {
		want.Postgres = &services.PostgresConfig{
			Port: cfg.Dev.Postgres, PortAdvice: portAdvice("dev.postgres_port", config.HowToSet("postgres.url")),
		}
	}
	if !cfg.AMQPURL.IsSet() {
		want.RabbitMQ = &services.RabbitMQConfig{
			Port: cfg.Dev.RabbitMQ, PortAdvice: portAdvice("dev.rabbitmq_port", config.HowToSet("amqp.url")),
			Users: brokerUsers(),
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

// brokerUsers returns the users of the parts of attune that `attune dev` runs, and the one that may only look.
func brokerUsers() []services.RabbitMQUser {
	var users []services.RabbitMQUser
	for _, user := range rabbitmq.Users() {
		made := services.RabbitMQUser{Name: user.Name, Configure: user.Configure, Write: user.Write, Read: user.Read}
		for _, topic := range user.Topics {
			made.Topics = append(made.Topics, services.RabbitMQTopicRights(topic))
		}
		users = append(users, made)
	}
	return users
}

// portAdvice says how to choose another port when the port is taken, or how to use an existing server instead.
func portAdvice(setting, server string) string {
	advice := "choose another port with " + config.HowToSet(setting) + " (0 picks a free one)"
	if server != "" {
		advice += ", or use a server that already runs with " + server
	}
	return advice
}

// startLocal starts services and returns the configuration with their addresses. printLine gets progress messages.
func startLocal(
	ctx context.Context, cfg config.Config, want services.Config, printLine func(string),
) (config.Config, *localServices, error) {
	if want.Temporal != nil {
		want.Temporal.Note = printLine
	}
	set, err := services.Start(ctx, want)
	if err != nil {
		return cfg, nil, err
	}
	if set.Postgres != nil {
		cfg.PostgresURL = config.NewURL(set.Postgres.URL())
	}
	if set.RabbitMQ != nil {
		cfg.AMQPURL = config.NewURL(set.RabbitMQ.UserURL(rabbitmq.UserBridge))
		if !cfg.WorkerAMQPURL.IsSet() {
			cfg.WorkerAMQPURL = config.NewURL(set.RabbitMQ.UserURL(rabbitmq.UserWorker))
		}
	}
	if set.Temporal != nil {
		if err := os.Setenv(temporalAddressEnv, set.Temporal.Address()); err != nil {
			return cfg, nil, errors.Join(fmt.Errorf("set %s: %w", temporalAddressEnv, err), (&localServices{set}).stop(ctx))
		}
	}
	return cfg, &localServices{set}, nil
}

// stop stops the services within localStopTime, even if ctx has ended.
func (l *localServices) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), localStopTime)
	defer cancel()
	if err := l.set.Stop(ctx); err != nil {
		return fmt.Errorf("stop the services: %w", err)
	}
	return nil
}

// loadOrCreateSecret reads a secret from a file in dir. If there is none, it generates one and stores it in that file, readable
// by the owner only. dir must exist.
func loadOrCreateSecret(dir, name string, generate func() string) (string, error) {
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
		return "", fmt.Errorf("write the secret to %q: %w", path, err)
	}
	return secret, nil
}
