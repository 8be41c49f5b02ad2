package config

import (
	"log/slog"
	"slices"
	"time"
)

// Config is what one process was told. [Load] fills it; the table of settings says what may stand in each field.
type Config struct {
	PostgresURL Secret
	AMQPURL     Secret
	HTTPAddr    string // host:port the API listens on; port 0 takes a free one
	APIToken    Secret
	Packs       []string      // folders
	Roles       []Role        // at least one, each once
	Lease       time.Duration // how long the bridge lets an execution run whose worker is not heard from
	WorkerPool  string        // the pool whose executions the worker takes
	WorkerSlots int           // executions the worker runs at once
	WorkerName  string        // unique among the workers that run at the same time
	DataDir     string        // where attune keeps files of its own
	LogLevel    slog.Level
	LogFormat   string // "text" or "json"
	Dev         DevPorts
}

// Role is a part of attune that a process can run.
type Role string

// The roles.
const (
	RoleAPI          Role = "api"          // HTTP: events, webhooks, actions, reading everything
	RoleOrchestrator Role = "orchestrator" // Temporal workers for the workflows and their activities
	RoleBridge       Role = "bridge"       // RabbitMQ ⇄ Temporal, and the outbox relay
	RoleWorker       Role = "worker"       // runs actions
)

// Roles lists every role.
func Roles() []Role { return []Role{RoleAPI, RoleOrchestrator, RoleBridge, RoleWorker} }

// Has reports whether the process runs a role.
func (c Config) Has(role Role) bool { return slices.Contains(c.Roles, role) }
