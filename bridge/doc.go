// Package bridge connects RabbitMQ and PostgreSQL to the queues in Temporal. It holds no state: each of its parts takes a
// batch of messages, makes their effect durable, and only then lets them be acknowledged.
//
//	Relay        outbox rows ──► RabbitMQ            one process at a time, in id order
//	Intake       enforcement.created ──► accepted in PostgreSQL, "acquire" signalled to the queues
//	Claims       execution.claim ──► requested → running, answered to the worker
//	Leases       execution.renew ──► lease prolonged, answered to the worker; attempts whose lease has expired are ended
//	Completions  execution.completed ──► row finished, "release" signalled to the queues
//
// # Batches
//
// A signal costs the engine as much for one ticket as for a hundred. So batches should be large under load, and a message
// should not wait for others without load: see [Linger].
//
// # Failures
//
// Every step is idempotent, so a crash between two of them costs a redelivery and nothing else: accepting again returns
// the same ticket, finishing again changes no row, and a queue ignores a ticket it has seen and a release it has done. An
// error is returned as it is; the consumer that feeds the batches decides by its code whether to try the same batch again.
package bridge

import "time"

// Batch bounds what one handler call gets. One transaction and one signal per queue carry all of it.
const Batch = 500

// Linger is how long a batch waits for more messages, if the batch before held several. It is about the time that the batch
// before takes to be handled, so a message that comes meanwhile is handled no later.
const Linger = 10 * time.Millisecond
