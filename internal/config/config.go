package config

import (
	"log/slog"
	"slices"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/certs"
)

// Config is the configuration of one process. [Load] fills it; the table of settings declares the allowed values.
type Config struct {
	PostgresURL   Secret
	AMQPURL       Secret
	WorkerAMQPURL Secret // the broker as the worker's own user; if it is not set, AMQPURL
	HTTPAddr      string // host:port on which the API listens; port 0 takes a free port
	APIToken      Secret
	TLS           certs.Paths // of the API; without a certificate it speaks HTTP
	Rates         Rates
	MaxConns      int                // open connections of the API
	OIDC          OIDC               // the issuer of JSON web tokens
	SecretsKey    Secret             // keys that encrypt secrets: see package secrets
	BridgeKey     Secret             // signs the replies and cancels of the bridge
	BridgeKeys    []attune.BridgeKey // public keys of bridges that the worker believes, besides that of BridgeKey
	Packs         []string           // folders
	Roles         []Role             // at least one role, without duplicates
	Lease         time.Duration      // how long an attempt runs before its worker must renew the lease
	WorkerPool    string             // worker pool from which the worker takes executions
	WorkerSlots   int                // executions that the worker runs at once
	WorkerName    string             // unique among running workers
	AllowEnv      attune.EnvGrants
	StopGrace     time.Duration // how long a stopping worker lets executions run
	ActionUser    string        // user of the system as which actions run, by name or id; empty: the user of the worker
	DataDir       string        // folder for attune's own files
	LogLevel      slog.Level
	LogFormat     string // "text" or "json"
	Dev           DevPorts
}

// Rates are limits of the API in one process, a second. 0 sets no limit.
type Rates struct {
	Caller  int // requests of each caller
	Webhook int // deliveries to each webhook
	Failure int // failed authentications of each remote address
}

// Role is a part of attune that a process can run.
type Role string

// The roles.
const (
	RoleAPI          Role = "api"          // HTTP API: events, webhooks, direct runs, queries
	RoleOrchestrator Role = "orchestrator" // Temporal workers for the workflows and their activities
	RoleBridge       Role = "bridge"       // RabbitMQ ⇄ Temporal, and the outbox relay
	RoleWorker       Role = "worker"       // runs actions
)

// Roles lists every role.
func Roles() []Role { return []Role{RoleAPI, RoleOrchestrator, RoleBridge, RoleWorker} }

// SigningKey returns the key of the bridge: the zero key if it is not set.
func (c Config) SigningKey() (attune.BridgeSigningKey, error) {
	if !c.BridgeKey.IsSet() {
		return attune.BridgeSigningKey{}, nil
	}
	return attune.ParseBridgeSigningKey(c.BridgeKey.Reveal())
}

// TrustedBridges returns the public keys of the bridges that the worker believes: those of the settings, and that of the bridge in the
// same process.
func (c Config) TrustedBridges() ([]attune.BridgeKey, error) {
	keys := slices.Clone(c.BridgeKeys)
	own, err := c.SigningKey()
	if err == nil && !own.IsZero() && !slices.Contains(keys, own.Public()) {
		keys = append(keys, own.Public())
	}
	return keys, err
}

// Has reports whether the process runs a role.
func (c Config) Has(role Role) bool { return slices.Contains(c.Roles, role) }
