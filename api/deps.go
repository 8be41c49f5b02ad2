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
)

// Deps is what the server works with: one store per noun, what changes queues, and what examines them. Each store is the sum
// of what the handlers of single files need; those files say it. Everything is required unless it says otherwise.
type Deps struct {
	Ingest Ingest
	Events EventReader
	Packs  interface {
		ActionReader
		Rules
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
		GrantReader
		ChangeReader
	}
	Control QueueControl
	Doctor  Examiner

	// Checks are what must work for the process to be ready, by name. Optional.
	Checks map[string]func(context.Context) error
	// LookupSecret reads the environment variables that hold webhook secrets. Default [os.LookupEnv].
	LookupSecret func(name string) (string, bool)
	// MetricsPage serves /metrics.
	MetricsPage http.Handler
	// Metrics counts.
	Metrics Metrics
	// Logger gets what callers must not see.
	Logger *slog.Logger
}

// Metrics is what the API counts.
type Metrics interface {
	RequestServed(ctx context.Context, method, route string, status int, took time.Duration)
}

func (d Deps) withDefaults() Deps {
	if d.LookupSecret == nil {
		d.LookupSecret = os.LookupEnv
	}
	return d
}

func (d Deps) validate() error {
	needed := []struct {
		name  string
		value any
	}{
		{"Ingest", d.Ingest}, {"Events", d.Events}, {"Packs", d.Packs},
		{"Enforcements", d.Enforcements}, {"Executions", d.Executions}, {"Queues", d.Queues},
		{"Control", d.Control}, {"Doctor", d.Doctor},
		{"MetricsPage", d.MetricsPage}, {"Metrics", d.Metrics}, {"Logger", d.Logger},
	}
	var missing []string
	for _, need := range needed {
		if v := reflect.ValueOf(need.value); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
			missing = append(missing, need.name)
		}
	}
	if missing != nil {
		return attune.Errorf(attune.CodeInvalid, "missing dependencies: %s", strings.Join(missing, ", "))
	}
	return nil
}
