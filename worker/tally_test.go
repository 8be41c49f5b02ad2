package worker_test

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

// tally is a log handler that counts the outcomes of actions by status, and the other fates of requests and leases.
type tally struct {
	mu     sync.Mutex
	counts map[string]int // guarded by mu
}

func (*tally) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (t *tally) WithAttrs([]slog.Attr) slog.Handler { return t }

func (t *tally) WithGroup(string) slog.Handler { return t }

func (t *tally) Handle(_ context.Context, record slog.Record) error {
	name := map[string]string{
		"claim refused, request dropped":                                    "refused",
		"request was delivered again and dropped":                           "duplicate",
		"lease not renewed, ending the execution before the lease expires":  "unrenewed",
		"lease lost, killing the execution":                                 "lost",
		"worker stopped before it could publish the report of an execution": "unreported",
	}[record.Message]
	if record.Message == "execution ended" {
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "status" {
				name = a.Value.String()
			}
			return true
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if name != "" {
		t.counts[name]++
	}
	return nil
}

func (t *tally) all() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}
