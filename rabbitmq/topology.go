package rabbitmq

import (
	"slices"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Names of the exchanges.
const (
	// Exchange is the topic exchange for every message of attune, except those of workers.
	Exchange = "attune"
	// WorkersExchange is the topic exchange for claims, renewals and reports. Workers can write to it and cannot read it, so a header
	// of a worker's message cannot bring a copy to another queue than those of claims, renewals and reports.
	WorkersExchange = "attune.workers"
	// DeadExchange receives dead letters. It is a topic exchange because dead letters keep their routing keys: a direct
	// exchange with a "#" binding would drop them silently.
	DeadExchange = "attune.dead"
)

// Names of the queues that always exist. Each takes one type of message.
const (
	QueueEnforcementCreated = queuePrefix + attune.KeyEnforcementCreated
	QueueExecutionCompleted = queuePrefix + attune.KeyExecutionCompleted
	QueueExecutionEnded     = queuePrefix + attune.KeyExecutionEnded
	QueueExecutionClaim     = queuePrefix + attune.KeyExecutionClaim
	QueueExecutionRenew     = queuePrefix + attune.KeyExecutionRenew
	QueueDead               = "attune.dead"

	queuePrefix = "attune."
	retryPrefix = "attune.retry."
)

// RetryDelay is how long a message waits in a retry queue.
const RetryDelay = 5 * time.Second

// deliveryLimit of a queue that no worker writes to disables RabbitMQ 4's default limit of 20 deliveries, after which the broker
// dead-letters a message. Every lost connection counts as a delivery, so an unstable network would fill the dead-letter queue. [Consumer]
// counts tries instead, because it can tell a failure from an outage.
const deliveryLimit = 1_000_000

// The bounds of the dead-letter queue. Above one of them the broker drops the oldest letter: a flood of forged messages must not fill the
// broker's disk.
const (
	MaxDeadLetters     = 10_000
	maxDeadLetterBytes = 256 << 20
)

// ExchangeOf returns the exchange for the messages with a routing key.
func ExchangeOf(key string) string {
	for _, ofWorkers := range []string{attune.KeyExecutionClaim, attune.KeyExecutionRenew, attune.KeyExecutionCompleted} {
		if key == ofWorkers || strings.HasPrefix(key, attune.KeyOfPool(ofWorkers, "")) {
			return WorkersExchange
		}
	}
	return Exchange
}

// The bounds of the queues that workers write to. Above the length the broker refuses a message, and its worker sends it again. A message
// that is delivered more often than the limit has probably ended its consumer each time.
const (
	maxRequestBytes     = 64 << 20
	maxReportBytes      = 1 << 30
	workerDeliveryLimit = 20
)

// QueueExecutionRequested is the queue of the execution requests for a pool's workers.
func QueueExecutionRequested(pool string) string {
	return queuePrefix + attune.KeyExecutionRequested(pool)
}

// RetryQueue is the queue where failed messages of queue wait for their next try.
func RetryQueue(queue string) string { return retryPrefix + strings.TrimPrefix(queue, queuePrefix) }

// Topology describes, as data, the exchanges, queues and bindings that the broker must have.
type Topology struct {
	Exchanges []ExchangeSpec
	Queues    []QueueSpec
	Bindings  []BindingSpec
}

// ExchangeSpec is a durable exchange.
type ExchangeSpec struct{ Name, Kind string }

// QueueSpec is a durable queue. Arguments hold strings, bools and int64s.
type QueueSpec struct {
	Name      string
	Arguments map[string]any
}

// BindingSpec routes the messages of an exchange with a matching routing key to a queue.
type BindingSpec struct{ Queue, Key, Exchange string }

// NewTopology returns the whole topology of attune, with a queue for each pool. Pool names are those of actions and
// workers; an invalid one is [attune.CodeInvalid].
//
//	attune (topic)        ──key──► attune.<key>           enforcement.created, execution.ended, execution.requested.<pool>
//	attune.workers (topic)──key.*──► attune.<key>         execution.completed, execution.claim, execution.renew, of all pools
//	attune.<key>          ──reject──► attune.dead (topic) ──#──► attune.dead
//	attune.retry.<key>    ──after RetryDelay──► attune.<key>
//
// Every queue is a quorum queue. Dead-lettering is at least once: a message leaves its queue when the next queue has
// stored it. The dead-letter queue is bounded, and drops the oldest letters. The broker makes no dead letters of execution.claim and
// execution.renew: a worker repeats a request that was
// not answered in time, and ignores a late reply to an expired request. A [Responder] makes dead letters of the requests
// that it refuses. execution.cancel has no queue in the topology: each [Subscriber] declares its own.
func NewTopology(pools ...string) (Topology, error) {
	t, err := PoolTopology(pools...)
	if err != nil {
		return Topology{}, err
	}
	t.Exchanges = append(t.Exchanges, ExchangeSpec{WorkersExchange, "topic"})
	t.Queues = append(t.Queues, QueueSpec{QueueDead, quorum(bounded)})
	t.Bindings = append(t.Bindings, BindingSpec{QueueDead, "#", DeadExchange})
	t.add(attune.KeyEnforcementCreated, quorum(deadLettered, oneConsumer))
	t.addRetry(QueueEnforcementCreated)
	t.addForPools(attune.KeyExecutionCompleted, quorum(deadLettered, fromWorkers(maxReportBytes)))
	t.addRetry(QueueExecutionCompleted)
	t.add(attune.KeyExecutionEnded, quorum(deadLettered))
	t.addRetry(QueueExecutionEnded)
	t.addForPools(attune.KeyExecutionClaim, quorum(fromWorkers(maxRequestBytes)))
	t.addForPools(attune.KeyExecutionRenew, quorum(fromWorkers(maxRequestBytes)))
	return t, nil
}

// PoolTopology returns the part of [NewTopology] that the requests for the pools' workers need.
func PoolTopology(pools ...string) (Topology, error) {
	t := Topology{Exchanges: []ExchangeSpec{{Exchange, "topic"}, {DeadExchange, "topic"}}}
	for _, pool := range slices.Compact(slices.Sorted(slices.Values(pools))) {
		if err := attune.ValidateName("pool", pool); err != nil {
			return Topology{}, err
		}
		t.add(attune.KeyExecutionRequested(pool), quorum(deadLettered))
	}
	return t, nil
}

func (t *Topology) add(key string, arguments map[string]any) {
	queue := queuePrefix + key
	t.Queues = append(t.Queues, QueueSpec{queue, arguments})
	t.Bindings = append(t.Bindings, BindingSpec{queue, key, Exchange})
}

// addForPools adds a queue for the messages of all pools.
func (t *Topology) addForPools(key string, arguments map[string]any) {
	queue := queuePrefix + key
	t.Queues = append(t.Queues, QueueSpec{queue, arguments})
	t.Bindings = append(t.Bindings, BindingSpec{queue, attune.KeyOfPool(key, "*"), WorkersExchange})
}

func (t *Topology) addRetry(queue string) {
	t.Queues = append(t.Queues, QueueSpec{RetryQueue(queue), quorum(func(arguments map[string]any) {
		arguments["x-message-ttl"] = RetryDelay.Milliseconds()
		arguments["x-dead-letter-exchange"] = "" // the default exchange: the routing key is the queue's name
		arguments["x-dead-letter-routing-key"] = queue
		atLeastOnce(arguments)
	})})
}

// quorum returns the arguments of a quorum queue. It uses only arguments that RabbitMQ 3.10 and 4 both know.
func quorum(features ...func(map[string]any)) map[string]any {
	arguments := map[string]any{"x-queue-type": "quorum", "x-delivery-limit": int64(deliveryLimit)}
	for _, feature := range features {
		feature(arguments)
	}
	return arguments
}

func bounded(arguments map[string]any) {
	arguments["x-max-length"] = int64(MaxDeadLetters)
	arguments["x-max-length-bytes"] = int64(maxDeadLetterBytes)
	arguments["x-overflow"] = "drop-head"
}

// fromWorkers bounds a queue that workers write to.
func fromWorkers(bytes int64) func(map[string]any) {
	return func(arguments map[string]any) {
		arguments["x-max-length-bytes"] = bytes
		arguments["x-overflow"] = "reject-publish"
		arguments["x-delivery-limit"] = int64(workerDeliveryLimit)
	}
}

func deadLettered(arguments map[string]any) {
	arguments["x-dead-letter-exchange"] = DeadExchange
	atLeastOnce(arguments)
}

func atLeastOnce(arguments map[string]any) {
	arguments["x-dead-letter-strategy"] = "at-least-once"
	arguments["x-overflow"] = "reject-publish" // the strategy requires it; without a length limit it has no effect
}

// oneConsumer makes the broker deliver to one consumer at a time, with the others on standby: if several processes
// accepted enforcements from one queue at once, their order would be undefined.
func oneConsumer(arguments map[string]any) { arguments["x-single-active-consumer"] = true }
