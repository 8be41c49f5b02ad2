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

// Deps is what the server works with. Everything is required unless it says otherwise.
type Deps struct {
	Ingest       Ingest
	Webhooks     Webhooks
	Events       EventReader
	Enforcements EnforcementReader
	Parked       ParkedEnforcements
	Executions   Executions
	Journal      Journal
	Actions      ActionReader
	Rules        Rules
	Queues       QueueReader
	Sights       QueueSights
	Grants       GrantReader
	Changes      ChangeReader
	Control      QueueControl
	Doctor       Examiner

	// Checks are what must work for the process to be ready, by name. Optional.
	Checks map[string]func(context.Context) error
	// LookupSecret reads the environment variables that hold webhook secrets. Default [os.LookupEnv].
	LookupSecret func(name string) (string, bool)
	// MetricsPage serves /metrics. Optional: without it there is no such route.
	MetricsPage http.Handler
	// Metrics counts. Optional.
	Metrics Metrics
	// Logger gets what callers must not see. Default: nothing is logged.
	Logger *slog.Logger
}

// Metrics is what the API counts.
type Metrics interface {
	RequestServed(ctx context.Context, method, route string, status int, took time.Duration)
}

// noMetrics counts nothing.
type noMetrics struct{}

// RequestServed implements [Metrics].
func (noMetrics) RequestServed(context.Context, string, string, int, time.Duration) {}

func (d Deps) withDefaults() Deps {
	if d.LookupSecret == nil {
		d.LookupSecret = os.LookupEnv
	}
	if d.Metrics == nil {
		d.Metrics = noMetrics{}
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return d
}

func (d Deps) validate() error {
	needed := []struct {
		name  string
		value any
	}{
		{"Ingest", d.Ingest}, {"Webhooks", d.Webhooks}, {"Events", d.Events},
		{"Enforcements", d.Enforcements}, {"Parked", d.Parked}, {"Executions", d.Executions}, {"Journal", d.Journal},
		{"Actions", d.Actions},
		{"Rules", d.Rules}, {"Queues", d.Queues}, {"Sights", d.Sights}, {"Grants", d.Grants}, {"Changes", d.Changes},
		{"Control", d.Control}, {"Doctor", d.Doctor},
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
