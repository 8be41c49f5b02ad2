package rabbitmq_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
)

type (
	claims = []question
	grants = []attune.ExecutionClaimReply
)

// claimKey is the routing key of claims for the pool gpu.
const claimKey = attune.KeyExecutionClaim + ".gpu"

// question is a request in the queue of claims.
type question struct {
	Execution attune.ExecutionID `json:"execution_id"`
	Attempt   int                `json:"attempt"`
	Worker    string             `json:"worker"`
}

func (question) RoutingKey() string { return claimKey }

func (q question) MessageID() string {
	return fmt.Sprintf("execution/%d/%d/claim/%s", q.Execution, q.Attempt, q.Worker)
}

func (b *testBundle) respond(
	t *testing.T, conn *rabbitmq.Connection, handle func(context.Context, claims) (grants, error),
) (stop func()) {
	t.Helper()
	responder := rabbitmq.NewResponder(conn, rabbitmq.ConsumerConfig{Queue: rabbitmq.QueueExecutionClaim, Publisher: b.publisher}, handle)
	return b.run(t, responder.Run)
}

func grantAll(_ context.Context, batch claims) (grants, error) {
	replies := make(grants, len(batch))
	for i, claim := range batch {
		replies[i] = attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: claim.Attempt, Granted: true}
	}
	return replies, nil
}

func claim(id int) question {
	return question{Execution: attune.ExecutionID(id), Attempt: 1, Worker: "w"}
}

func TestCaller(t *testing.T) {
	t.Parallel()

	t.Run("each of many concurrent calls gets its own reply", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.respond(t, b.conn, grantAll)
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		ctx := deadline(t)
		var wg sync.WaitGroup
		failures := make(chan string, 300)
		for id := range 300 {
			wg.Go(func() {
				var reply attune.ExecutionClaimReply
				err := caller.Call(ctx, claim(id+1), &reply)
				if err != nil || reply.Execution != attune.ExecutionID(id+1) || !reply.Granted {
					failures <- fmt.Sprintf("%d: %v %+v", id, err, reply)
				}
			})
		}
		wg.Wait()
		close(failures)
		for failure := range failures {
			require.Fail(t, failure)
		}
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 0)
	})

	t.Run("a call ends with its context, and its request expires", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		var reply attune.ExecutionClaimReply
		// The first call opens the channel, so that the second call has its whole time for the reply.
		err := caller.Call(deadline(t), message(1, true), &reply)
		require.ErrorContains(t, err, "no queue takes the request")
		ctx, cancel := context.WithTimeout(t.Context(), 10*quickRetry)
		defer cancel()
		err = caller.Call(ctx, claim(1), &reply)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `no reply to "execution.claim.gpu" (message "execution/1/1/claim/w")`)
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 0)
		b.requireDepth(t, rabbitmq.QueueDead, 0)
	})

	t.Run("a call fails at once when no responder exists", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.raw(t).QueueDelete(rabbitmq.QueueExecutionClaim, false, false, false)
		require.NoError(t, err)
		var reply attune.ExecutionClaimReply
		err = rabbitmq.NewCaller(b.connect(t, b.url)).Call(deadline(t), claim(1), &reply)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		require.ErrorContains(t, err, "no queue takes the request")
	})

	t.Run("a call gets its reply from the next responder when one is lost", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		entered := make(chan struct{}, 10)
		stop := b.respond(t, b.connect(t, address), func(ctx context.Context, _ claims) (grants, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		})
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		replied := make(chan error, 1)
		var reply attune.ExecutionClaimReply
		go func() { replied <- caller.Call(deadline(t), claim(1), &reply) }()
		receive(t, entered)
		proxy.Close()
		stop()
		b.respond(t, b.conn, grantAll)
		require.NoError(t, receive(t, replied), "the request was delivered again")
		require.True(t, reply.Granted)
	})

	t.Run("a lost connection ends open calls, and a later call uses a new connection", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		address, proxy := b.throughProxy(t)
		caller := rabbitmq.NewCaller(b.connect(t, address))
		var reply attune.ExecutionClaimReply
		replied := make(chan error, 1)
		go func() { replied <- caller.Call(deadline(t), claim(1), &reply) }()
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 1)
		proxy.Cut()
		err := receive(t, replied)
		require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
		b.respond(t, b.conn, grantAll)
		require.NoError(t, caller.Call(deadline(t), claim(1), &reply))
		require.True(t, reply.Granted)
	})
}

func TestResponder(t *testing.T) {
	t.Parallel()

	t.Run("a failure is answered with its code and message only", func(t *testing.T) {
		t.Parallel()
		for name, test := range map[string]struct {
			err     error
			code    attune.Code
			message string
		}{
			"an error with a code keeps its code": {
				fmt.Errorf("claim: %w", attune.WrapError(attune.CodeUnavailable, errors.New("10.0.0.1"), "no database")),
				attune.CodeUnavailable, "no database",
			},
			"a timeout is unavailable":  {context.DeadlineExceeded, attune.CodeUnavailable, "timed out"},
			"another error is internal": {errors.New("index out of range"), attune.CodeInternal, "internal error"},
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.respond(t, b.conn, func(context.Context, claims) (grants, error) { return nil, test.err })
				var reply attune.ExecutionClaimReply
				err := rabbitmq.NewCaller(b.connect(t, b.url)).Call(deadline(t), claim(1), &reply)
				require.Equal(t, test.code, attune.CodeOf(err))
				require.EqualError(t, err, test.message)
				b.requireDepth(t, rabbitmq.QueueExecutionClaim, 0)
			})
		}
	})

	t.Run("only the failing request of a batch is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		errs := make([]error, 20)
		var wg sync.WaitGroup
		for id := range errs {
			wg.Go(func() {
				var reply attune.ExecutionClaimReply
				errs[id] = caller.Call(deadline(t), claim(id+1), &reply)
			})
		}
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 20)
		b.respond(t, b.conn, func(ctx context.Context, batch claims) (grants, error) {
			if slices.Contains(batch, claim(7)) {
				return nil, attune.Errorf(attune.CodeConflict, "7 has ended")
			}
			return grantAll(ctx, batch)
		})
		wg.Wait()
		for id, err := range errs {
			if id+1 == 7 {
				require.EqualError(t, err, "7 has ended")
				continue
			}
			require.NoError(t, err)
		}
	})

	t.Run("an unreadable request and a wrong number of replies are refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.respond(t, b.conn, func(context.Context, claims) (grants, error) { return grants{}, nil })
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		var reply attune.ExecutionClaimReply
		err := caller.Call(deadline(t), badClaim{}, &reply)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		require.ErrorContains(t, err, "is not the JSON of rabbitmq_test.question")
		err = caller.Call(deadline(t), claim(1), &reply)
		require.EqualError(t, err, "0 replies to 1 requests")
		letter := b.deadLetters(t, 1)[0]
		require.Equal(t, "bad", letter.MessageID)
		require.Equal(t, rabbitmq.QueueExecutionClaim, letter.Queue)
	})

	t.Run("refused requests of a batch become dead letters, and the others are answered", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		caller := rabbitmq.NewCaller(b.connect(t, b.url))
		errs, replies := make([]error, 6), make([]attune.ExecutionClaimReply, 6)
		var wg sync.WaitGroup
		for id := range errs {
			wg.Go(func() { errs[id] = caller.Call(deadline(t), claim(id+1), &replies[id]) })
		}
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 6)
		b.respond(t, b.conn, func(ctx context.Context, batch claims) (grants, error) {
			replies, _ := grantAll(ctx, batch)
			refused := map[int]error{}
			for i, q := range batch {
				if q.Execution%3 == 0 {
					refused[i] = attune.Refuse(attune.RefusedKey, "%d is forged", q.Execution)
				}
			}
			return replies, &attune.BatchError{Refused: refused}
		})
		wg.Wait()
		for id := range errs {
			if (id+1)%3 == 0 {
				require.EqualError(t, errs[id], fmt.Sprintf("%d is forged", id+1))
				require.Equal(t, attune.CodeUnauthorized, attune.CodeOf(errs[id]))
				continue
			}
			require.NoError(t, errs[id])
			require.True(t, replies[id].Granted)
		}
		letters := b.deadLetters(t, 2)
		for _, letter := range letters {
			require.Equal(t, string(attune.CodeUnauthorized), letter.Reason)
			require.Equal(t, claimKey, letter.RoutingKey)
		}
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 0)
	})

	t.Run("a request that names a queue for its reply writes to no queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		served := make(chan struct{}, 1)
		b.respond(t, b.conn, func(ctx context.Context, batch claims) (grants, error) {
			served <- struct{}{}
			return grantAll(ctx, batch)
		})
		body, err := json.Marshal(claim(1))
		require.NoError(t, err)
		require.NoError(t, b.raw(t).PublishWithContext(t.Context(), rabbitmq.WorkersExchange, claimKey, true, false,
			amqp.Publishing{Body: body, ReplyTo: rabbitmq.QueueEnforcementCreated, CorrelationId: "1"}))
		receive(t, served)
		var reply attune.ExecutionClaimReply
		require.NoError(t, rabbitmq.NewCaller(b.connect(t, b.url)).Call(deadline(t), claim(2), &reply), "the first request is answered")
		b.requireDepth(t, rabbitmq.QueueEnforcementCreated, 0)
		b.requireDepth(t, rabbitmq.QueueExecutionClaim, 0)
	})
}

type badClaim struct {
	Execution string `json:"execution_id"`
}

func (badClaim) RoutingKey() string { return claimKey }

func (badClaim) MessageID() string { return "bad" }
