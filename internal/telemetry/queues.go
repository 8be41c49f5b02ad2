package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/attune-go/attune"
)

// QueuePeriod is how often the queues are read: as often as metrics usually are. One process at a time reads them: what it
// reads is true for all, so that a sum over processes is right, and the database is asked once, however many processes there
// are.
const QueuePeriod = 15 * time.Second

// maxQueueSeries bounds the queues that have series of their own: one per action, so a large installation can have
// thousands.
const maxQueueSeries = 100

// otherQueues stands for all queues without series of their own. No queue can have this key: a reference begins with a
// letter.
const otherQueues = "_other"

// queueGauges shows what was read last. They have no series until something was read, and none after it was forgotten: an
// old value would look like a new one.
//
//	attune_queue_depth{queue}                enforcements that wait
//	attune_queue_active{queue}               slots held
//	attune_queue_limit{queue}                slots there are
//	attune_queue_oldest_wait_seconds{queue}  how long the first in line has waited
//	attune_queue_stalled{queue}              1 for a queue that could grant and does not
//	attune_slots_leaked                      slots held without an execution that could give them back
//
// The label is bounded: the 100 queues that matter most (stalled ones, then those with the longest line, then the busiest)
// have series of their own; the series queue="_other" has the sum of the rest, the longest of their waits, and how many of
// them are stalled.
type queueGauges struct {
	last atomic.Pointer[queueReading]

	depth, active, limit, stalled, leaked metric.Int64ObservableGauge
	oldest                                metric.Float64ObservableGauge
}

type queueReading struct {
	queues []queueSeries
	leaked int64
}

// queueSeries is one value of the label.
type queueSeries struct {
	key                           string
	depth, active, limit, stalled int64
	oldest                        time.Duration
}

func newQueueGauges(meter metric.Meter) (*queueGauges, error) {
	g := &queueGauges{}
	var err error
	for _, gauge := range []struct {
		into       *metric.Int64ObservableGauge
		name, desc string
	}{
		{&g.depth, "attune.queue.depth", "Enforcements that wait in a queue."},
		{&g.active, "attune.queue.active", "Slots of a queue that are held."},
		{&g.limit, "attune.queue.limit", "Slots that a queue has: the limit in force."},
		{&g.stalled, "attune.queue.stalled", "1 for a queue with a slot free and somebody waiting that grants nobody."},
		{&g.leaked, "attune.slots.leaked", "Slots that are held without an execution that could give them back."},
	} {
		if *gauge.into, err = meter.Int64ObservableGauge(gauge.name, metric.WithDescription(gauge.desc)); err != nil {
			return nil, fmt.Errorf("create gauge %q: %w", gauge.name, err)
		}
	}
	g.oldest, err = meter.Float64ObservableGauge("attune.queue.oldest.wait", metric.WithUnit("s"),
		metric.WithDescription("How long the first in line of a queue has waited."))
	if err != nil {
		return nil, fmt.Errorf("create gauge: %w", err)
	}
	_, err = meter.RegisterCallback(g.observe, g.depth, g.active, g.limit, g.stalled, g.leaked, g.oldest)
	if err != nil {
		return nil, fmt.Errorf("register the gauges of queues: %w", err)
	}
	return g, nil
}

func (g *queueGauges) observe(_ context.Context, o metric.Observer) error {
	reading := g.last.Load()
	if reading == nil {
		return nil
	}
	o.ObserveInt64(g.leaked, reading.leaked)
	for _, q := range reading.queues {
		label := metric.WithAttributes(attribute.String("queue", q.key))
		o.ObserveInt64(g.depth, q.depth, label)
		o.ObserveInt64(g.active, q.active, label)
		o.ObserveInt64(g.limit, q.limit, label)
		o.ObserveInt64(g.stalled, q.stalled, label)
		o.ObserveFloat64(g.oldest, q.oldest.Seconds(), label)
	}
	return nil
}

// QueuesRead shows how all queues stand, in place of what was shown before.
func (m *Metrics) QueuesRead(queues []attune.QueueGauge, leaked int64) {
	m.queues.last.Store(&queueReading{queues: seriesOf(queues), leaked: leaked})
}

// QueuesForgotten removes the values that [Metrics.QueuesRead] has set: another process shows them, or they are unknown.
func (m *Metrics) QueuesForgotten() {
	m.queues.last.Store(nil)
}

// seriesOf gives the queues that matter most series of their own.
func seriesOf(queues []attune.QueueGauge) []queueSeries {
	ranked := slices.SortedFunc(slices.Values(queues), func(a, b attune.QueueGauge) int {
		return cmp.Or(-cmp.Compare(one(a.Stalled), one(b.Stalled)), -cmp.Compare(a.Waiting, b.Waiting),
			-cmp.Compare(a.Active, b.Active), cmp.Compare(a.Queue, b.Queue))
	})
	series := make([]queueSeries, 0, min(len(ranked), maxQueueSeries+1))
	for i, q := range ranked {
		switch {
		case i < maxQueueSeries:
			series = append(series, queueSeries{key: string(q.Queue)})
		case i == maxQueueSeries:
			series = append(series, queueSeries{key: otherQueues})
		}
		s := &series[len(series)-1]
		s.depth += q.Waiting
		s.active += q.Active
		s.limit += int64(q.Limit)
		s.stalled += one(q.Stalled)
		s.oldest = max(s.oldest, q.OldestWait)
	}
	return series
}

func one(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
