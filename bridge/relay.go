package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/retry"
)

// relayBatch is how many outbox rows the relay publishes before it waits for the broker's confirmations.
const relayBatch = 500

// Outbox stores the rows to publish.
type Outbox interface {
	// Lead blocks until this process is the only relay and then calls lead. wait returns when the outbox may have new rows.
	Lead(ctx context.Context, lead func(ctx context.Context, wait func(context.Context) error) error) error
	Pending(ctx context.Context, limit int) ([]attune.OutboxRow, error)
	Remove(ctx context.Context, ids []int64) error
}

// RowPublisher publishes outbox rows and returns when the broker has confirmed and routed all of them.
type RowPublisher interface {
	PublishRows(ctx context.Context, rows []attune.OutboxRow) error
}

// Relay publishes the outbox in id order, and signs the cancels in it. It removes a row after the broker has confirmed it, so a crash
// in between publishes the row again.
type Relay struct {
	outbox    Outbox
	publisher RowPublisher
	signer    *Signer
	published func(ctx context.Context, rows int)
	log       *slog.Logger
}

// NewRelay returns a Relay. published is called with the number of published rows.
func NewRelay(
	outbox Outbox, publisher RowPublisher, signer *Signer, published func(context.Context, int), log *slog.Logger,
) *Relay {
	return &Relay{outbox: outbox, publisher: publisher, signer: signer, published: published, log: log}
}

// Run relays until ctx ends. While another process is the relay, Run waits. After an error it starts again.
func (r *Relay) Run(ctx context.Context) error {
	retry.Loop(ctx, func(ctx context.Context) error { return r.outbox.Lead(ctx, r.lead) }, func(err error, pause time.Duration) {
		if err != nil && !errors.Is(err, context.Canceled) {
			r.log.WarnContext(ctx, "outbox relay stopped, starting it again", "error", err, "retry_in", pause)
		}
	})
	return nil
}

func (r *Relay) lead(ctx context.Context, wait func(context.Context) error) error {
	for {
		n, err := r.publish(ctx)
		if err != nil {
			return err
		}
		if n == relayBatch {
			continue
		}
		if err := wait(ctx); err != nil {
			return fmt.Errorf("wait for outbox rows: %w", err)
		}
	}
}

// publish publishes and removes one batch and returns its size.
func (r *Relay) publish(ctx context.Context) (int, error) {
	rows, err := r.outbox.Pending(ctx, relayBatch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	if err := r.publisher.PublishRows(ctx, r.signer.signCancels(ctx, rows, r.log)); err != nil {
		return 0, fmt.Errorf("publish %d outbox rows: %w", len(rows), err)
	}
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	if err := r.outbox.Remove(ctx, ids); err != nil {
		return 0, fmt.Errorf("remove %d outbox rows: %w", len(ids), err)
	}
	r.published(ctx, len(rows))
	return len(rows), nil
}
