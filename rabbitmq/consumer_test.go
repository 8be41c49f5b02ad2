package rabbitmq_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

type createdBatch = []attune.EnforcementCreatedMessage

func TestConsumer_Batches(t *testing.T) {
	t.Parallel()

	t.Run("a single message is handled at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		batches := make(chan []attune.EnforcementID)
		b.consume(t, b.conn, 100, func(_ context.Context, batch createdBatch) error {
			batches <- ids(batch)
			return nil
		})
		b.publish(t, 1)
		require.Equal(t, sequence(1, 1), receive(t, batches))
		b.publish(t, 2)
		require.Equal(t, sequence(2, 2), receive(t, batches))
	})

	t.Run("a backlog is handled in bounded batches, in order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, sequence(1, 500)...)
		var sizes record[int]
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 50, func(_ context.Context, batch createdBatch) error {
			sizes.add(len(batch))
			handled.add(ids(batch)...)
			return nil
		})
		require.Equal(t, sequence(1, 500), handled.requireLen(t, 500))
		require.LessOrEqual(t, slices.Max(sizes.all()), 50)
		require.Less(t, len(sizes.all()), 500, "not one by one")
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	})

	t.Run("the broker sends at most the prefetch ahead", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		entered, release := make(chan struct{}, 100), make(chan struct{})
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			entered <- struct{}{}
			<-release
			handled.add(ids(batch)...)
			return nil
		})
		b.publish(t, sequence(1, 50)...)
		receive(t, entered)
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 30)
		close(release)
		require.Equal(t, sequence(1, 50), handled.requireLen(t, 50))
	})

	t.Run("a configuration out of range is refused", func(t *testing.T) {
		t.Parallel()
		conn := rabbitmq.NewConnection(rabbitmq.Config{URL: "amqp://127.0.0.1:1/"})
		for want, config := range map[string]rabbitmq.ConsumerConfig{
			"consumer has no queue": {},
			"max batch -1":          {Queue: "q", MaxBatch: -1},
			"linger 2s":             {Queue: "q", Linger: 2 * time.Second},
			"max batch 40000":       {Queue: "q", MaxBatch: 40000},
			`"q" has no publisher`:  {Queue: "q"},
		} {
			err := rabbitmq.NewConsumer(conn, config, func(context.Context, createdBatch) error { return nil }).Run(t.Context())
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			require.ErrorContains(t, err, want)
		}
	})
}

func TestConsumer_Outage(t *testing.T) {
	t.Parallel()

	for name, outage := range map[string]error{
		"unavailable": fmt.Errorf("admit: %w", attune.Errorf(attune.CodeUnavailable, "no database")),
		"timeout":     fmt.Errorf("admit: %w", context.DeadlineExceeded),
	} {
		t.Run("a batch keeps its place: "+name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.publish(t, sequence(1, 10)...)
			var calls atomic.Int64
			var tried record[[]attune.EnforcementID]
			var handled record[attune.EnforcementID]
			b.consume(t, b.conn, 3, func(_ context.Context, batch createdBatch) error {
				tried.add(ids(batch))
				if calls.Add(1) <= 4 {
					return outage
				}
				handled.add(ids(batch)...)
				return nil
			})
			b.publish(t, 11)
			require.Equal(t, sequence(1, 11), handled.requireLen(t, 11))
			for _, batch := range tried.all()[:5] {
				require.Equal(t, tried.all()[0], batch, "the same batch again")
			}
			b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
			b.requireDepth(t, rabbitmq.QueueDead, 0)
			b.requireDepth(t, rabbitmq.RetryQueue(rabbitmq.QueueEnforcementCreated), 0)
		})
	}
}

func TestConsumer_FailingMessage(t *testing.T) {
	t.Parallel()

	t.Run("a failing message is isolated, and the other 49 are handled once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		const culprit = 17
		var gate atomic.Bool
		var handled record[attune.EnforcementID]
		var largest atomic.Int64
		b.consume(t, b.conn, 50, func(_ context.Context, batch createdBatch) error {
			if !gate.Load() { // until all 50 have arrived
				return attune.Errorf(attune.CodeUnavailable, "not yet")
			}
			largest.Store(max(largest.Load(), int64(len(batch))))
			if slices.Contains(ids(batch), culprit) {
				return attune.Errorf(attune.CodeInvalid, "enforcement %d does not exist", culprit)
			}
			handled.add(ids(batch)...)
			return nil
		})
		b.publish(t, sequence(1, 50)...)
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
		gate.Store(true)
		want := slices.DeleteFunc(sequence(1, 50), func(id attune.EnforcementID) bool { return id == culprit })
		require.Equal(t, want, handled.requireLen(t, 49))
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, want, handled.all(), "each message once")
		require.WithinDuration(t, time.Now(), letter.FailedAt, 2*testTimeout)
		letter.FailedAt = time.Time{}
		require.Equal(t, rabbitmq.DeadLetter{
			MessageID: "enforcement/17/created", RoutingKey: "enforcement.created", Queue: "attune.enforcement.created",
			Reason: "invalid", Error: "enforcement 17 does not exist", Tries: 1, Body: []byte(`{"enforcement_id":17}`),
		}, letter)
	})

	t.Run("a failing message is tried again behind the others, five times in all", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			handled.add(ids(batch)...)
			if slices.Contains(ids(batch), 1) {
				return fmt.Errorf("a bug")
			}
			return nil
		})
		b.publish(t, 1)
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, []attune.EnforcementID{1, 1, 1, 1, 1}, handled.all())
		require.Equal(t, rabbitmq.MaxTries, letter.Tries)
		require.Equal(t, "internal", letter.Reason)
		require.Equal(t, "a bug", letter.Error)
		require.Equal(t, "enforcement.created", letter.RoutingKey)
		b.publish(t, 2)
		require.Equal(t, attune.EnforcementID(2), handled.requireLen(t, 6)[5])
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	})

	t.Run("a message recovers when a later try succeeds", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var handled record[attune.EnforcementID]
		var fails atomic.Int64
		b.publish(t, 1, 2)
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			if slices.Contains(ids(batch), 1) && fails.Add(1) < rabbitmq.MaxTries {
				return attune.Errorf(attune.CodeExhausted, "quota")
			}
			handled.add(ids(batch)...)
			return nil
		})
		require.Equal(t, []attune.EnforcementID{2, 1}, handled.requireLen(t, 2))
		b.requireDepth(t, rabbitmq.QueueDead, 0)
	})

	t.Run("a handler may panic", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			if slices.Contains(ids(batch), 1) {
				panic("nil map")
			}
			handled.add(ids(batch)...)
			return nil
		})
		b.publish(t, 1, 2)
		require.Equal(t, sequence(2, 2), handled.requireLen(t, 1))
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, "handler panicked: panic: nil map", letter.Error)
	})

	t.Run("an unreadable message is a dead letter at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, 1)
		b.publishRaw(t, attune.KeyEnforcementCreated, "broken", `{"enforcement_id":`)
		b.publish(t, 2)
		b.publishRaw(t, attune.KeyEnforcementCreated, "mistyped", `{"enforcement_id":"3"}`)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 10, func(_ context.Context, batch createdBatch) error {
			handled.add(ids(batch)...)
			return nil
		})
		letters := b.deadLetters(t, 2)
		require.Equal(t, sequence(1, 2), handled.requireLen(t, 2))
		require.Equal(t, "broken", letters[0].MessageID)
		require.Equal(t, "invalid", letters[0].Reason)
		require.Contains(t, letters[0].Error, `message "broken" is not the JSON of attune.EnforcementCreatedMessage`)
		require.Equal(t, "mistyped", letters[1].MessageID)
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
	})

	t.Run("the refused messages of a batch are dead letters at once, and the others are handled once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.publish(t, sequence(1, 10)...)
		var handled record[attune.EnforcementID]
		b.consume(t, b.conn, 100, func(_ context.Context, batch createdBatch) error {
			handled.add(ids(batch)...)
			refused := map[int]error{}
			for i, m := range batch {
				if m.Enforcement%5 == 0 { // the last one too
					refused[i] = attune.Refuse(attune.RefusedSignature, "%d is forged", m.Enforcement)
				}
			}
			if len(refused) == 0 {
				return nil
			}
			return &attune.BatchError{Refused: refused}
		})
		for i, letter := range b.deadLetters(t, 2) {
			require.Equal(t, string(attune.CodeUnauthorized), letter.Reason)
			require.Equal(t, fmt.Sprintf("%d is forged", 5*(i+1)), letter.Error)
			require.Equal(t, 1, letter.Tries)
		}
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
		b.publish(t, 11)
		require.ElementsMatch(t, sequence(1, 11), handled.requireLen(t, 11))
	})

	t.Run("an invalid message is a dead letter at once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		consumer := rabbitmq.NewConsumer(b.conn, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionCompleted, Publisher: b.publisher},
			func(context.Context, []attune.ExecutionCompletedMessage) error { return nil })
		b.run(t, consumer.Run)
		b.publishRaw(t, attune.KeyOfPool(attune.KeyExecutionCompleted, "gpu"), "m", `{"execution_id":1,"attempt":1,"status":"running"}`)
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, "invalid", letter.Reason)
		require.Contains(t, letter.Error, `check message "m": execution.completed needs an execution, an attempt and a terminal status`)
	})
}
