package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/bridge"
)

type fakeQueues struct {
	mu       sync.Mutex
	acquired map[attune.QueueKey][]attune.Ticket
	released map[attune.QueueKey][]attune.Ticket
	retried  map[attune.QueueKey][]attune.Ticket
	fail     error
}

func (f *fakeQueues) Acquire(_ context.Context, admission attune.Admission) error {
	return f.record(&f.acquired, admission.Queue, admission.Tickets)
}

func (f *fakeQueues) Retry(_ context.Context, key attune.QueueKey, retries []attune.Retry) error {
	for _, retry := range retries {
		if err := f.record(&f.retried, key, []attune.Ticket{retry.Ticket}); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeQueues) Release(_ context.Context, key attune.QueueKey, tickets []attune.Ticket) error {
	return f.record(&f.released, key, tickets)
}

func (f *fakeQueues) record(in *map[attune.QueueKey][]attune.Ticket, key attune.QueueKey, tickets []attune.Ticket) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return f.fail
	}
	if *in == nil {
		*in = map[attune.QueueKey][]attune.Ticket{}
	}
	(*in)[key] = append((*in)[key], tickets...)
	return nil
}

type admitterFunc func(ids []attune.EnforcementID) ([]attune.Admission, error)

func (f admitterFunc) Admit(_ context.Context, ids []attune.EnforcementID) ([]attune.Admission, error) {
	return f(ids)
}

type finisherFunc func(reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error)

func (f finisherFunc) Finish(_ context.Context, reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
	return f(reports)
}

// Ended answers like Finish.
func (f finisherFunc) Ended(_ context.Context, ended []attune.ExecutionEndedMessage) ([]attune.Completion, error) {
	reports := make([]attune.ExecutionCompletedMessage, len(ended))
	for i, m := range ended {
		reports[i] = attune.ExecutionCompletedMessage{Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt, Status: m.Status}
	}
	return f(reports)
}

func ticket(id attune.EnforcementID) attune.Ticket {
	return attune.Ticket{Enforcement: id, Sequence: int64(id)}
}

func TestIntake_Handle(t *testing.T) {
	t.Parallel()
	batch := []attune.EnforcementCreatedMessage{{Enforcement: 3}, {Enforcement: 1}, {Enforcement: 2}}
	admitter := admitterFunc(func(ids []attune.EnforcementID) ([]attune.Admission, error) {
		require.Equal(t, []attune.EnforcementID{3, 1, 2}, ids, "the order of the batch is the order of acceptance")
		return []attune.Admission{
			{Queue: "a", Tickets: []attune.Ticket{ticket(3), ticket(2)}}, {Queue: "b", Tickets: []attune.Ticket{ticket(1)}},
		}, nil
	})

	t.Run("each queue gets one signal", func(t *testing.T) {
		t.Parallel()
		queues, admitted := &fakeQueues{}, 0
		intake := bridge.NewIntake(admitter, queues, func(_ context.Context, n int) { admitted += n })
		require.NoError(t, intake.Handle(t.Context(), batch))
		require.Equal(t, map[attune.QueueKey][]attune.Ticket{"a": {ticket(3), ticket(2)}, "b": {ticket(1)}}, queues.acquired)
		require.Equal(t, 3, admitted)
	})

	t.Run("a batch is done when every queue has its tickets", func(t *testing.T) {
		t.Parallel()
		queues := &fakeQueues{fail: attune.Errorf(attune.CodeUnavailable, "away")}
		err := bridge.NewIntake(admitter, queues, func(context.Context, int) { t.Error("counted") }).Handle(t.Context(), batch)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err), "the code decides that the batch is tried again")
	})
}

func TestCompletions_Handle(t *testing.T) {
	t.Parallel()
	report := func(id attune.ExecutionID) attune.ExecutionCompletedMessage {
		return attune.ExecutionCompletedMessage{Execution: id, Attempt: 1, Status: attune.ExecutionSucceeded, Pool: "gpu"}
	}
	effects := []attune.CompletionEffect{
		attune.CompletionFinished, attune.CompletionRepeated, attune.CompletionRepeated, attune.CompletionStale, attune.CompletionUnknown,
		attune.CompletionRetrying, attune.CompletionRetrying, attune.CompletionRequeued, attune.CompletionParked,
	}
	finisher := finisherFunc(func(reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
		var completions []attune.Completion
		for i, r := range reports {
			id := attune.EnforcementID(r.Execution)
			completions = append(completions, attune.Completion{Execution: r.Execution, Queue: "q", Ticket: ticket(id), Effect: effects[i]})
		}
		return completions, nil
	})
	sent := []attune.ExecutionCompletedMessage{report(1), report(2), report(2), report(4), report(5),
		report(6), report(6), report(7), report(8)}
	w := newSigner(t)
	batch := signAll(t, w, sent...)

	t.Run("ended and parked tickets are released once, and held ones are retried once", func(t *testing.T) {
		t.Parallel()
		queues := &fakeQueues{}
		counted := map[attune.CompletionEffect]int{}
		completions := bridge.NewCompletions(finisher, queues, "", func(_ context.Context, e attune.CompletionEffect, _ attune.ExecutionStatus) {
			counted[e]++
		}, noneRefused(t), slog.New(slog.DiscardHandler))
		require.NoError(t, completions.Handle(t.Context(), batch))
		require.Equal(t, []attune.Ticket{ticket(1), ticket(2), ticket(8)}, queues.released["q"])
		require.Equal(t, []attune.Ticket{ticket(6)}, queues.retried["q"])
		require.Equal(t, map[attune.CompletionEffect]int{
			"finished": 1, "repeated": 2, "stale": 1, "unknown": 1, "retrying": 2, "requeued": 1, "parked": 1,
		}, counted)
	})

	t.Run("the debug log names the executions of a batch", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		completions := bridge.NewCompletions(finisher, &fakeQueues{}, "", func(context.Context, attune.CompletionEffect, attune.ExecutionStatus) {},
			noneRefused(t), slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		require.NoError(t, completions.Handle(t.Context(), batch))
		require.Contains(t, log.String(), `"level":"DEBUG","msg":"reports consumed","executions":[1,2,2,4,5,6,6,7,8]`)
	})

	t.Run("a report of another installation counts as unknown and changes nothing", func(t *testing.T) {
		t.Parallel()
		counted := map[attune.CompletionEffect]int{}
		var finished []attune.ExecutionCompletedMessage
		one := finisherFunc(func(reports []attune.ExecutionCompletedMessage) ([]attune.Completion, error) {
			finished = append(finished, reports...)
			return finisher(reports)
		})
		queues := &fakeQueues{}
		completions := bridge.NewCompletions(one, queues, "one", func(_ context.Context, e attune.CompletionEffect, _ attune.ExecutionStatus) {
			counted[e]++
		}, noneRefused(t), slog.New(slog.DiscardHandler))
		old, current := report(1), report(1)
		old.Installation, current.Installation = "zero", "one"
		require.NoError(t, completions.Handle(t.Context(), signAll(t, w, old, current, old)))
		current.Key = w.public()
		require.Equal(t, []attune.ExecutionCompletedMessage{current}, finished)
		require.Equal(t, []attune.Ticket{ticket(1)}, queues.released["q"])
		require.Equal(t, map[attune.CompletionEffect]int{"finished": 1, "unknown": 2}, counted)
	})

	t.Run("the end of an attempt by attune itself signals the queue in the same way", func(t *testing.T) {
		t.Parallel()
		queues := &fakeQueues{}
		counted := map[attune.CompletionEffect]int{}
		completions := bridge.NewCompletions(finisher, queues, "", func(_ context.Context, e attune.CompletionEffect, s attune.ExecutionStatus) {
			require.Equal(t, attune.ExecutionAbandoned, s)
			counted[e]++
		}, noneRefused(t), slog.New(slog.DiscardHandler))
		var ended []attune.ExecutionEndedMessage
		for _, report := range sent {
			ended = append(ended, attune.ExecutionEndedMessage{Execution: report.Execution, Attempt: 1, Status: attune.ExecutionAbandoned})
		}
		other := ended[0]
		other.Installation = "zero"
		require.NoError(t, completions.HandleEnded(t.Context(), append(ended, other)))
		require.Equal(t, []attune.Ticket{ticket(1), ticket(2), ticket(8)}, queues.released["q"])
		require.Equal(t, []attune.Ticket{ticket(6)}, queues.retried["q"])
		require.Equal(t, map[attune.CompletionEffect]int{
			"finished": 1, "repeated": 2, "stale": 1, "unknown": 2, "retrying": 2, "requeued": 1, "parked": 1,
		}, counted)

		queues.fail = attune.Errorf(attune.CodeUnavailable, "away")
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(completions.HandleEnded(t.Context(), ended)))
	})
}

// fakeOutbox is an outbox in memory that loses its leadership when fail returns an error.
type fakeOutbox struct {
	rows    []attune.OutboxRow
	removed []int64
	led     int
	fail    func(led int) error
}

func (f *fakeOutbox) Lead(ctx context.Context, lead func(context.Context, func(context.Context) error) error) error {
	f.led++
	if err := f.fail(f.led); err != nil {
		return err
	}
	return lead(ctx, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
}

func (f *fakeOutbox) Pending(_ context.Context, limit int) ([]attune.OutboxRow, error) {
	return f.rows[:min(limit, len(f.rows))], nil
}

func (f *fakeOutbox) Remove(_ context.Context, ids []int64) error {
	f.removed = append(f.removed, ids...)
	f.rows = f.rows[len(ids):]
	return nil
}

type rowPublisherFunc func(rows []attune.OutboxRow) error

func (f rowPublisherFunc) PublishRows(_ context.Context, rows []attune.OutboxRow) error {
	return f(rows)
}

func TestRelay_Run(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		outbox := &fakeOutbox{fail: func(led int) error {
			if led == 1 {
				return errors.New("the connection is lost")
			}
			return nil
		}}
		for id := range int64(1200) {
			outbox.rows = append(outbox.rows, attune.OutboxRow{ID: id + 1})
		}
		attempts, published := 0, []int64{}
		publisher := rowPublisherFunc(func(rows []attune.OutboxRow) error {
			if attempts++; attempts == 2 {
				return attune.Errorf(attune.CodeUnavailable, "the broker is away")
			}
			for _, row := range rows {
				published = append(published, row.ID)
			}
			return nil
		})
		counted := 0
		relay := bridge.NewRelay(outbox, publisher, bridge.NewSigner(newBridgeKey(t)), func(_ context.Context, n int) { counted += n }, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- relay.Run(ctx) }()
		<-time.After(time.Minute) // in the bubble's time: both pauses are over and the relay waits for rows
		synctest.Wait()
		cancel()
		require.NoError(t, <-done)
		require.Len(t, published, 1200)
		require.IsIncreasing(t, published, "rows are published in id order, and only confirmed rows are removed")
		require.Equal(t, published, outbox.removed)
		require.Equal(t, 1200, counted)
		require.Equal(t, 3, outbox.led, "a lost lead and a failed publish each start over")
	})
}
