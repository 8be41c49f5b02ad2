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

// QueuePeriod is the time between two readings of the queues: a usual scrape interval. Only one process at a time reads and
// exports them. So a sum over all processes is right, and the load on the database does not grow with their number.
const QueuePeriod = 15 * time.Second

// maxQueueSeries bounds the queues with their own series. Every action has a queue, so a large installation can have thousands.
const maxQueueSeries = 100

// otherQueues is the label of all queues without their own series. No queue has this key, because every key begins with a letter.
const otherQueues = "_other"

// queueGauges exports the last reading of the queues. Without a reading the gauges have no series: an old value would look like
// a current value.
//
//	attune_queue_depth{queue}                waiting enforcements
//	attune_queue_active{queue}               slots held
//	attune_queue_limit{queue}                limit in force
//	attune_queue_oldest_wait_seconds{queue}  wait of the first enforcement in line
//	attune_queue_stalled{queue}              1 for a queue with a free slot and a waiting enforcement that grants nothing
//	attune_slots_leaked                      held slots that no execution will give back
//
// The number of labels is bounded. The first 100 queues have their own series: stalled queues first, then by length of the line,
// then by active slots. The series queue="_other" has the sum of the other queues, and for oldest_wait their maximum.
type queueGauges struct {
	last atomic.Pointer[queueReading] // nil: no reading

	depth, active, limit, stalled, leaked metric.Int64ObservableGauge
	oldest                                metric.Float64ObservableGauge
}

type queueReading struct {
	queues []queueSeries
	leaked int64
}

// queueSeries holds the values of one label.
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
		{&g.limit, "attune.queue.limit", "Limit in force: the number of slots of a queue."},
		{&g.stalled, "attune.queue.stalled", "1 for a queue with a free slot and a waiting enforcement that grants nothing."},
		{&g.leaked, "attune.slots.leaked", "Held slots that no execution will give back."},
	} {
		if *gauge.into, err = meter.Int64ObservableGauge(gauge.name, metric.WithDescription(gauge.desc)); err != nil {
			return nil, fmt.Errorf("create gauge %q: %w", gauge.name, err)
		}
	}
	g.oldest, err = meter.Float64ObservableGauge("attune.queue.oldest.wait", metric.WithUnit("s"),
		metric.WithDescription("Wait of the first enforcement in line."))
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

// QueuesRead exports a new reading of all queues instead of the last one.
func (m *Metrics) QueuesRead(queues []attune.QueueGauge, leaked int64) {
	m.queues.last.Store(&queueReading{queues: seriesOf(queues), leaked: leaked})
}

// QueuesForgotten removes the last reading: another process exports the queues, or their state is unknown.
func (m *Metrics) QueuesForgotten() {
	m.queues.last.Store(nil)
}

// seriesOf ranks the queues. It returns a series for each of the first [maxQueueSeries] queues and one series for all others.
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
