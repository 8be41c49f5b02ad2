// Package rabbitmq carries attune's messages over RabbitMQ: topology, publishing, consuming, and requests with a reply.
//
// The broker is only a transport. PostgreSQL is the authority for order (sequences) and for state (rows), and every
// receiver changes a row by compare-and-set. This package guarantees that no message is lost silently on the way.
//
// # Guarantees
//
//   - At least once. A message that [Publisher.Publish] has published is on disk in a quorum queue. The broker delivers
//     it until a receiver settles or dead-letters it, or an operator deletes the queue.
//   - Published means confirmed and routed. The broker also confirms a message that no queue takes; the publisher reports
//     such a message as an error with its routing key.
//   - An acknowledgement reaches the channel of its delivery, or no channel. A lost connection is replaced by a new
//     connection with new channels. The client library's own recovery is off: it reopens the same channel, so that a late
//     acknowledgement could settle another message.
//   - A message that a receiver cannot handle moves to the dead-letter queue with the reason; it is never dropped. The
//     exceptions are messages whose sender still waits or repeats them (requests of a [Caller] and messages to a
//     [Subscriber]), and refused messages above the bound of a consumer (see [ConsumerConfig]).
//
// # No guarantees
//
//   - Order. A batch is in delivery order, and delivery order is publish order as long as no message is redelivered. Lost
//     connections, the retry queue and a change of the active consumer reorder messages.
//   - Exactly once. Publishing again after an error, and redelivery after a lost connection, repeat messages. Copies have
//     the same message id.
//
// # What happens when the connection is lost
//
//	while publishing          every unconfirmed message is reported as unpublished; it may be in its queue
//	while a handler runs      its context is cancelled; the batch is delivered again, to this or another consumer
//	before an acknowledgement the same: the batch was handled, and is delivered again
//	while a failed message
//	is moved                  it may be in the retry or dead-letter queue and be delivered again from its own queue
//	while a worker has an
//	unsettled delivery        Ack and Reject return an error; the message is delivered to another worker
//	while a call waits        the caller gets [attune.CodeUnavailable]; a responder may have acted on the request
//	while subscribed          the subscriber misses messages that are published meanwhile
//
// Every loop ([Connection.Run], [Consumer.Run], [Responder.Run], [Subscriber.Run], [Puller.Pull]) reconnects by itself,
// with a pause that grows to [retry.MaxPause], until its context ends.
//
// # Failing handlers
//
// The handler's error decides what happens to a batch. After [attune.CodeUnavailable], or a timeout without a code, the
// consumer keeps the batch and tries it again: an outage is not the fault of a message, so a long one must neither
// reorder messages nor fill the dead-letter queue. After any other error the consumer halves the batch until the failing
// message is alone, and handles the rest as usual. The failing message waits in the retry queue and comes back behind the
// others. After [MaxTries] tries it moves to the dead-letter queue. A message that is [attune.CodeInvalid] or cannot be
// decoded moves there at once.
//
// # Connections
//
// Use one [Connection] for publishing and another for consuming: a broker that is short of memory or disk stops reading
// from connections that publish, which would stop acknowledgements too.
//
// A consumer of a queue that workers write to has a connection of its own ([Connections.Own]). Every connection drops headers that are too
// large or not readable before the client library sees them: the library would close the connection, and the broker would deliver the
// message again.
package rabbitmq
