package bridge

import (
	"context"
	"log/slog"
	"time"
)

const (
	// SweepEvery is the time between two sweeps.
	SweepEvery = time.Minute
	// sweepBatch bounds the rows of a table that one sweep deletes.
	sweepBatch = 10_000
)

// SweepStore deletes what rates and quotas no longer need, up to limit rows of each table, and returns the number of deleted rows.
type SweepStore interface {
	Sweep(ctx context.Context, limit int) (int64, error)
}

// Sweeper deletes what rates and quotas no longer need.
type Sweeper struct {
	store SweepStore
	every time.Duration
	log   *slog.Logger
}

// NewSweeper returns a Sweeper that sweeps again after a time: see [SweepEvery].
func NewSweeper(store SweepStore, every time.Duration, log *slog.Logger) *Sweeper {
	return &Sweeper{store: store, every: every, log: log}
}

// Run sweeps again and again, until ctx ends; then it returns nil. It may run in any number of processes. A sweep that fails is repeated
// by the next one.
func (s *Sweeper) Run(ctx context.Context) error {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if _, err := s.store.Sweep(ctx, sweepBatch); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "old counts of rates and quotas were not deleted: the next attempt follows",
				"err", err, "after", s.every)
		}
	}
}
