package telemetry

import (
	"context"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"
)

// deadLetters exports the number of dead letters. Without a reading the gauge has no series.
//
//	attune_dead_letters  messages in the dead-letter queue of the broker
type deadLetters struct {
	last atomic.Pointer[int64] // nil: no reading
}

func newDeadLetters(meter metric.Meter) (*deadLetters, error) {
	d := &deadLetters{}
	_, err := meter.Int64ObservableGauge("attune.dead.letters",
		metric.WithDescription("Messages in the dead-letter queue of the broker."),
		metric.WithInt64Callback(func(_ context.Context, o metric.Int64Observer) error {
			if last := d.last.Load(); last != nil {
				o.Observe(*last)
			}
			return nil
		}))
	if err != nil {
		return nil, fmt.Errorf("create the gauge of dead letters: %w", err)
	}
	return d, nil
}

// DeadLettersRead exports a new number of dead letters instead of the last one.
func (m *Metrics) DeadLettersRead(n int) { m.dead.last.Store(new(int64(n))) }

// DeadLettersForgotten removes the last number: another process exports it, or the broker does not answer.
func (m *Metrics) DeadLettersForgotten() { m.dead.last.Store(nil) }
