package demo

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/queueaudit"
)

// Config is the load of the demo and the form of its progress.
type Config struct {
	Events      int           // number of events to deliver, 1 or more
	Redeliver   int           // how many of the events are delivered a second time
	Secret      string        // secret of the webhook
	Live        bool          // draw progress bars in place; otherwise print a line at each change
	IdleTimeout time.Duration // longest time without a change of the counts before Run fails
}

// Run sends the load, waits until every enforcement has ended, and returns one measure per queue from the stored rows. It
// writes progress to w.
func Run(ctx context.Context, c *client.Client, config Config, w io.Writer) ([]Measure, error) {
	before, err := queues(ctx, c)
	if err != nil {
		return nil, err
	}
	expected, err := load(ctx, c, config, w)
	if err != nil {
		return nil, err
	}
	if err := follow(ctx, c, config, countEnded(before)+int64(len(expected)), w); err != nil {
		return nil, err
	}
	measures, err := measure(ctx, c, config, expected)
	if err != nil {
		return nil, err
	}
	return measures, nil
}

// load posts the events and returns their enforcements, as the responses of the API list them.
func load(ctx context.Context, c *client.Client, config Config, w io.Writer) (map[attune.EnforcementID]bool, error) {
	expected := map[attune.EnforcementID]bool{}
	duplicates := 0
	for n := range config.Events + config.Redeliver {
		n %= config.Events
		recorded, err := send(ctx, c, config.Secret, fmt.Sprintf("delivery-%d", n), push(n))
		if err != nil {
			return nil, fmt.Errorf("send event %d: %w", n, err)
		}
		if recorded.Duplicate {
			duplicates++
		}
		for _, e := range recorded.Enforcements {
			if e.Status == attune.EnforcementRejected {
				return nil, fmt.Errorf("event %d: rule %q was rejected (%s): %s", n, e.Rule, e.Reason, e.Detail)
			}
			expected[e.ID] = true
		}
	}
	if duplicates != config.Redeliver {
		return nil, fmt.Errorf("%d deliveries were sent twice, but %d were recognised as duplicates", config.Redeliver, duplicates)
	}
	_, err := fmt.Fprintf(w, "sent %d signed webhook events (%d more were redeliveries, all recognised): %d enforcements\n",
		config.Events, duplicates, len(expected))
	return expected, err
}

// measure reads and measures every queue. An expected enforcement without a row is an error.
func measure(ctx context.Context, c *client.Client, config Config, expected map[attune.EnforcementID]bool) ([]Measure, error) {
	all, err := queues(ctx, c)
	if err != nil {
		return nil, err
	}
	missing := len(expected)
	var measures []Measure
	for _, queue := range all {
		rows, err := queueaudit.Read(ctx, c, queue.Queue, config.IdleTimeout)
		if err != nil {
			return nil, fmt.Errorf("read queue %q: %w", queue.Queue, err)
		}
		executions, err := client.List[attune.Execution](ctx, c, "/executions", url.Values{"queue": {string(queue.Queue)}})
		if err != nil {
			return nil, err
		}
		for _, e := range rows.Enforcements {
			if expected[e.ID] {
				missing--
			}
		}
		measures = append(measures, MeasureQueue(rows, executions))
	}
	if missing > 0 {
		return nil, fmt.Errorf("%d enforcements that the API had recorded have no row", missing)
	}
	return measures, nil
}
