// Package rabbitmq carries attune's messages over RabbitMQ: topology, publishing, consuming, questions with an answer.
//
// The broker is transport. It is the authority for nothing: order is a sequence in PostgreSQL, memory is a row, and every
// receiver compares before it sets. What this package adds is that no message is lost silently on the way.
//
// # Guarantees
//
//   - At least once. A message that [Publisher.Publish] reported as published is on disk in a quorum queue and is
//     delivered until a receiver settles or dead-letters it, or an operator deletes the queue.
//   - Published means confirmed and routed. A message that no queue takes comes back to the publisher as an error
//     naming its routing key, although the broker confirms it too.
//   - An acknowledgement reaches the channel that delivered, or nothing. A lost connection is replaced by a new
//     connection with new channels; the client library's own recovery, which reopens the same channel and lets a late
//     acknowledgement settle another message, is off.
//   - A message that a receiver cannot take is in the dead-letter queue with the reason, never dropped. The exceptions
//     are messages whose sender still waits or repeats: questions ([Caller]) and subscriptions ([Subscriber]).
//
// # No guarantees
//
//   - Order. A batch is in delivery order, and delivery order is publish order as long as nothing is redelivered. Lost
//     connections, the retry queue and a change of the active consumer reorder.
//   - Exactly once. Publishing again after an error, and redelivery after a lost connection, repeat messages. Copies have
//     the same message id.
//
// # What happens when the connection is lost
//
//	while publishing          every message without a confirmation is reported as unpublished; it may be in its queue
//	while a handler runs      its context is cancelled; the batch is delivered again, here or to another consumer
//	before an acknowledgement the same: handled, and delivered again
//	while a failed message
//	is moved away             it may be in the retry or dead-letter queue and be delivered again from its own queue
//	while a worker holds a
//	delivery                  Ack and Reject return an error; the message is delivered to another worker
//	while a question is open  the caller gets [attune.CodeUnavailable]; the question may have been acted upon
//	while subscribed          what is published meanwhile is missed
//
// Every loop ([Connection.Run], [Consumer.Run], [Responder.Run], [Subscriber.Run], [Puller.Pull]) reconnects by itself,
// with a pause that grows to [retry.MaxPause], until its context ends.
//
// # Failing handlers
//
// A handler's error decides what becomes of a batch. [attune.CodeUnavailable], and a timeout without any code, keep the
// batch where it is and try it again, because an outage says nothing about a message: a long one must neither reorder
// nor fill the dead-letter queue. For any other error the batch is halved until the culprit stands alone; the rest is
// handled as usual. The culprit waits in the retry queue and comes back behind the others, [MaxTries] times in all, then
// goes to the dead-letter queue; one that is [attune.CodeInvalid] or cannot be decoded goes there at once.
//
// # Connections
//
// Use one [Connection] for publishing and another for consuming: a broker short of memory or disk stops reading from
// connections that publish, which would stop acknowledgements too.
package rabbitmq
