package bench_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/converter"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
	"github.com/attune-go/attune/workflows/baseline"
)

// release is a slot that an enforcement freed: the queue has accepted the release signal.
type release struct {
	enforcement attune.EnforcementID
	at          time.Time // the clock of Temporal's server
}

// releases returns the releases that a queue has accepted after since, in the order in which the queue applies them,
// without duplicates.
func (w *world) releases(ctx context.Context, key attune.QueueKey, since time.Time) ([]release, error) {
	events, err := w.eventsSince(ctx, workflows.QueueWorkflowID(key), since)
	if err != nil {
		return nil, err
	}
	var all []release
	seen := map[attune.EnforcementID]bool{}
	for _, event := range events {
		tickets, err := releasedBy(event)
		if err != nil {
			return nil, err
		}
		for _, ticket := range tickets {
			if !seen[ticket.Enforcement] {
				seen[ticket.Enforcement] = true
				all = append(all, release{ticket.Enforcement, event.GetEventTime().AsTime()})
			}
		}
	}
	return all, nil
}

// eventsSince returns the events of a workflow after since, over all its runs, in order.
func (w *world) eventsSince(ctx context.Context, workflow string, since time.Time) ([]*historypb.HistoryEvent, error) {
	var all []*historypb.HistoryEvent
	for run := ""; ; {
		events, err := w.history(ctx, workflow, run)
		if err != nil {
			return nil, err
		}
		started := events[0]
		all = append(events, all...) // this run is earlier than the runs read so far
		run = started.GetWorkflowExecutionStartedEventAttributes().GetContinuedExecutionRunId()
		if run == "" || started.GetEventTime().AsTime().Before(since) {
			break
		}
	}
	return slices.DeleteFunc(all, func(event *historypb.HistoryEvent) bool { return event.GetEventTime().AsTime().Before(since) }), nil
}

func releasedBy(event *historypb.HistoryEvent) ([]attune.Ticket, error) {
	signal := event.GetWorkflowExecutionSignaledEventAttributes()
	if signal.GetSignalName() != workflows.SignalRelease {
		return nil, nil
	}
	var released workflows.TicketsSignal
	if err := converter.GetDefaultDataConverter().FromPayloads(signal.GetInput(), &released); err != nil {
		return nil, fmt.Errorf("read a release: %w", err)
	}
	return released.Tickets, nil
}

// readers is the number of histories to read at the same time.
const readers = 8

// begins returns when the first task of each enforcement's workflow started.
func (w *world) begins(ctx context.Context, ids []attune.EnforcementID) (map[attune.EnforcementID]time.Time, error) {
	begins := make(map[attune.EnforcementID]time.Time, len(ids))
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for _, id := range ids {
		group.Go(func() error {
			events, err := w.history(ctx, workflows.EnforcementWorkflowID(id), "")
			if err != nil {
				return err
			}
			started := slices.IndexFunc(events, func(event *historypb.HistoryEvent) bool {
				return event.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED
			})
			if started < 0 {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			begins[id] = events[started].GetEventTime().AsTime()
			return nil
		})
	}
	return begins, group.Wait()
}

// history returns all events of a run; "" is the latest run.
func (w *world) history(ctx context.Context, workflow, run string) (events []*historypb.HistoryEvent, err error) {
	err = baseline.UntilAnswered(ctx, func(ctx context.Context) error {
		events = nil
		iterator := w.temporal.GetWorkflowHistory(ctx, workflow, run, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for iterator.HasNext() {
			event, err := iterator.Next()
			if err != nil {
				return fmt.Errorf("read the history of %q: %w", workflow, err)
			}
			events = append(events, event)
		}
		return nil
	})
	return events, err
}
