package worker_test

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

// tally is a log that counts the outcomes of actions by status, and what else becomes of requests and leases.
type tally struct {
	mu   sync.Mutex
	said map[string]int
}

func (*tally) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

func (t *tally) WithAttrs([]slog.Attr) slog.Handler { return t }

func (t *tally) WithGroup(string) slog.Handler { return t }

func (t *tally) Handle(_ context.Context, record slog.Record) error {
	what := map[string]string{
		"claim refused, request dropped":                                   "refused",
		"request was delivered again and dropped":                          "duplicate",
		"lease lost, ending the execution":                                 "lost",
		"worker stopped before the end of the execution could be reported": "unreported",
	}[record.Message]
	if record.Message == "execution ended" {
		record.Attrs(func(a slog.Attr) bool {
			if a.Key == "status" {
				what = a.Value.String()
			}
			return true
		})
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if what != "" {
		t.said[what]++
	}
	return nil
}

func (t *tally) counts() map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.said)
}
