package config

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"
)

// Config is what one process was told. [Load] fills it; it is not changed afterwards.
type Config struct {
	PostgresURL URL    // postgres://user:password@host:port/database
	AMQPURL     URL    // amqp://user:password@host:port/vhost
	HTTPAddr    string // host:port the API listens on; port 0 takes a free one
	APIToken    Secret // the bearer token of the API; at least [MinTokenLength] bytes when set
	Packs       []string
	Roles       []Role        // at least one, each once
	Lease       time.Duration // how long the bridge lets an execution run whose worker is not heard from, [MinLease] to [MaxLease]
	WorkerPool  string        // the pool whose executions the worker takes
	WorkerSlots int           // executions the worker runs at once, 1 to [MaxWorkerSlots]
	WorkerName  string        // unique among the workers that run at the same time
	DataDir     string        // where attune keeps files of its own
	LogLevel    slog.Level
	LogFormat   string // "text" or "json"
	Dev         DevPorts

	origins map[string]string // setting name → where its value came from
}

// Bounds of settings.
const (
	MinTokenLength = 16
	MaxWorkerSlots = 1000
	MinLease       = 10 * time.Second // to claim may take a part of it, and workers renew it six times in it
	MaxLease       = time.Hour
)

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

// Origin says where the value of a setting came from: "default", "<file>:<line>", an environment variable or a flag.
func (c Config) Origin(name string) string { return c.origins[name] }

// WithOverride returns a copy with changes made by the program itself, such as the addresses of services that it
// started. The origin of the named settings becomes origin.
func (c Config) WithOverride(origin string, change func(*Config), names ...string) Config {
	c.origins = maps.Clone(c.origins)
	if c.origins == nil {
		c.origins = map[string]string{}
	}
	for _, name := range names {
		c.origins[name] = origin
	}
	change(&c)
	return c
}

// String shows every setting by name, with secrets redacted.
func (c Config) String() string {
	var b strings.Builder
	for i, s := range Settings() {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%s=%q", s.Name, s.show(c))
	}
	return b.String()
}

// GoString implements [fmt.GoStringer]; it redacts what [Config.String] redacts.
func (c Config) GoString() string { return "config.Config{" + c.String() + "}" }

// LogValue implements [slog.LogValuer]: a group with one attribute per setting, with secrets redacted.
func (c Config) LogValue() slog.Value {
	attrs := make([]slog.Attr, 0, len(Settings()))
	for _, s := range Settings() {
		attrs = append(attrs, slog.String(s.Name, s.show(c)))
	}
	return slog.GroupValue(attrs...)
}
