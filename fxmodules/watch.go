package fxmodules

import (
	"context"
	"time"

	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/postgres"
)

// watchEvery is how often the queues are read: as often as metrics usually are.
const watchEvery = 15 * time.Second

// watchQueues shows how queues stand in the metrics. One process at a time does: what it reads is true for all, so that a
// sum over processes is right, and the database is asked once, however many processes there are. It belongs to the role that
// serves metrics.
func watchQueues(loops *loops, rows *postgres.Queues, metrics *telemetry.Metrics) {
	loops.add("queue metrics", func(ctx context.Context) error {
		rows.Watch(ctx, watchEvery, doctor.StalledAfter, func(reading *postgres.Reading) { showReading(metrics, reading) })
		return nil
	})
}

func showReading(metrics *telemetry.Metrics, reading *postgres.Reading) {
	if reading == nil {
		metrics.QueuesForgotten()
		return
	}
	metrics.QueuesRead(reading.Queues, reading.Leaked)
}
