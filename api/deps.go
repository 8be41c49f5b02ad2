package api

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Deps holds the dependencies of the server. Each interface is the sum of the interfaces that the handlers' files declare.
// Every field is required unless its comment gives a default or calls it optional.
type Deps struct {
	Callers Authenticator
	Tokens  Tokens
	Audit   AuditLog

	Ingest Ingest
	Events EventReader
	Packs  interface {
		ActionReader
		Rules
		Triggers
		Webhooks
	}
	Enforcements interface {
		EnforcementReader
		ParkedEnforcements
	}
	Executions interface {
		Executions
		Journal
	}
	Queues interface {
		QueueReader
		QueueDetails
		QueueJournals
		PolicyAnalysis
	}
	Gates     GateReader
	Control   QueueController
	Policies  Policies
	Announcer Announcer
	Doctor    Examiner
	Secrets   SecretVault

	// CheckPolicy checks the expressions of a policy document for the actions that it covers. own: it is that of one action. Its errors
	// are a [policy.DocumentError].
	CheckPolicy func(document attune.Policy, own bool, uses []policy.KeyUse) error

	// Checks are the readiness checks of /readyz, by name. Optional.
	Checks map[string]func(context.Context) error
	// LookupSecret returns the secret of a webhook: see [sources.NewWebhooks]. Default: the environment variable.
	LookupSecret func(name string) (string, error)
	// MetricsPage serves /metrics.
	MetricsPage http.Handler
	Metrics     Metrics
	// Logger receives the details of errors that responses leave out.
	Logger *slog.Logger
}

// Metrics counts requests.
type Metrics interface {
	// RateLimited counts a request that reached a limit: see [Limited].
	RateLimited(ctx context.Context, limit string)
	RequestServed(ctx context.Context, method, route string, status int, took time.Duration)
}

func (d Deps) withDefaults() Deps {
	if d.LookupSecret == nil {
		d.LookupSecret = func(name string) (string, error) { return os.Getenv(name), nil }
	}
	return d
}

func (d Deps) validate() error {
	required := []struct {
		name  string
		value any
	}{
		{"Callers", d.Callers}, {"Tokens", d.Tokens}, {"Audit", d.Audit}, {"Ingest", d.Ingest}, {"Events", d.Events}, {"Packs", d.Packs},
		{"Enforcements", d.Enforcements}, {"Executions", d.Executions}, {"Queues", d.Queues},
		{"Gates", d.Gates}, {"Control", d.Control}, {"Policies", d.Policies}, {"Announcer", d.Announcer}, {"CheckPolicy", d.CheckPolicy},
		{"Doctor", d.Doctor},
		{"Secrets", d.Secrets},
		{"MetricsPage", d.MetricsPage}, {"Metrics", d.Metrics}, {"Logger", d.Logger},
	}
	var missing []string
	for _, dep := range required {
		if v := reflect.ValueOf(dep.value); !v.IsValid() || (v.Kind() == reflect.Pointer || v.Kind() == reflect.Func) && v.IsNil() {
			missing = append(missing, dep.name)
		}
	}
	if missing != nil {
		return attune.Errorf(attune.CodeInvalid, "missing dependencies: %s", strings.Join(missing, ", "))
	}
	return nil
}
