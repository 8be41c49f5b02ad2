// Package bridge connects RabbitMQ and PostgreSQL to the queues in Temporal. It holds no state. Each part takes a batch
// of messages, makes their effect durable, and only then lets the consumer acknowledge them.
//
//	Relay        outbox rows ──► RabbitMQ            one process at a time, in id order
//	Intake       enforcement.created ──► admitted in PostgreSQL, "acquire" signalled to the queues
//	Claims       execution.claim ──► requested → running, reply to the worker
//	Leases       execution.renew ──► lease renewed, reply to the worker; attempts with an expired lease are ended
//	Requests     attempts that wait for a claim ──► execution.requested.<pool>, if the broker has lost it
//	Completions  execution.completed ──► row finished, "release" signalled to the queues
//	             execution.ended ──► row read, "release" signalled to the queues
//	Policies     changed policies of packs and people ──► "acquire" without tickets signalled to the queues
//
// # Trust
//
// Claims, renewals and reports are signed. A handler verifies each message of a batch, refuses what is not believed with an
// [attune.BatchError], and handles the rest. All other messages are hints: the handlers read the rows that they name.
//
// # Batches
//
// A signal costs Temporal as much for one ticket as for a hundred. So batches should be large under load, and without
// load a message should not wait for others: see [Linger].
//
// # Failures
//
// Every step is idempotent, so a crash between two steps causes a redelivery and no other harm. Admitting again returns
// the same ticket, finishing again changes no row, and a queue ignores a repeated ticket or release. A handler returns
// every error unchanged; the code of the error tells the consumer whether to try the same batch again.
package bridge

import "time"

// Batch bounds the messages of one handler call. One transaction and one signal per queue carry the whole batch.
const Batch = 500

// Linger is how long a batch waits for more messages if the batch before held several. It is about the time to handle one
// batch, so a message that arrives meanwhile is handled no later.
const Linger = 10 * time.Millisecond
