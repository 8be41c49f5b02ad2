// Package postgres keeps attune's state in PostgreSQL 15 or later.
//
// # Authority
//
// This package is the only authority on four facts:
//
//   - The order of tickets. [Enforcements.Admit] assigns the sequence of an enforcement while it holds the lock of the queue's
//     row. [Events.Record] chose the queue and the lane before, and these never change.
//   - The status of enforcements and executions. It is in their rows.
//   - Retries. [Executions.Finish] decides whether another attempt follows, and where the enforcement waits for it, in the
//     transaction that ends the attempt. The bridge then tells the queue, and the queue decides when the next attempt starts.
//   - Leases. [Executions.Claim] gives a worker a lease on an attempt and [Executions.Renew] extends it, by PostgreSQL's clock.
//     A clock that jumps ahead ends leases early.
//
// The queue's workflow decides which tickets hold slots, which wait, and what the queue's mode and manual override are. This
// package records its decisions. [Queues.Rebuild] rebuilds a queue that lost its state, and [Queues.Changes], [Queues.Grants]
// and [Executions.Attempts] show the past. These journals are kept forever.
//
// # Guarantees
//
//   - One method is one transaction. A crash at any moment leaves nothing half done.
//   - Every change of status is a compare-and-set from named earlier statuses. A repeated call changes nothing and returns the
//     same result.
//   - The sequences of a queue are dense. They rise in the order of the ids passed to Admit. The time of admission has
//     millisecond precision and is never before the time of a lower sequence.
//   - The lanes of a queue are numbered from 1 without gaps, in the order of their first enforcements. Enforcements of a queue
//     have the same lane if and only if they have the same [attune.LaneName]. A lane keeps its number for ever.
//   - The journal queue_policies has every policy that a queue has obeyed, once for each revision.
//   - An event has at most one enforcement per rule, and an enforcement has at most one execution. A queue never uses a
//     sequence or a grant number twice. Constraints of the database enforce this.
//   - An enforcement has one place at a time. An enforcement that goes back to the line gets a new place; the grant of its old
//     place stays in the log.
//   - A grant is in the log if and only if an execution was requested for it. Its entry is released when the execution ends, or
//     when the attempt ends and gives its slot back, with exactly that time.
//   - last_sequence = waiting + granted + total_completed + total_dropped for every queue, in every committed state.
//     total_completed counts slots that were given back; with retries, one enforcement can give back several.
//   - Only a running attempt has a lease, and a lease is never shortened. An expired lease is never renewed or given again.
//     [Executions.ExpireLeases] ends the attempt, unless the worker's report arrived first.
//   - A rebuild of a queue settles every grant of an earlier generation: the rebuilt queue contains each grant that was acted
//     upon, and any other grant stays void.
//   - Times are PostgreSQL's clock, except the times that a queue sets: of grants and of manual changes.
//
// # Locks
//
// Transactions take locks in this order, and locks of one kind in ascending order, so they cannot deadlock:
//
//	generation of one queue → enforcements still "created" (by id) → queues (by id) → executions (by id)
//	→ other enforcements → their grants
//
// Recording an event locks no queue row. It inserts missing queues in the order of their keys, and holds no lock that a
// transaction waiting for one of these rows could need.
//
// A transaction that changes an enforcement with an execution locks that execution first. So grants need no order of their own,
// and values read after the lock stay true. Claims and renewals lock executions only; a request locks one execution and its
// enforcement. A generation has an advisory lock: requests share it, a rebuild holds it exclusively. Another advisory lock
// serializes the installation of packs.
//
// # Silent connections
//
// A connection can be lost without being closed: a network, a firewall or a proxy drops its packets. Every wait on a connection
// has a timeout:
//
//   - A statement fails after 30 s, a statement of the outbox after 10 s, with [attune.CodeUnavailable].
//   - The pool pings a connection that was idle for a second before it is used. Without a reply within 5 s, the pool replaces
//     all idle connections.
//   - A relay reads the outbox at most 20 s after the previous relay lost its connection: see [Outbox.Lead].
//   - TCP keepalives detect a lost server within 30 s on this end, and a lost client within 25 s on the server's end.
//
// # Failures
//
// An error that a caller can handle is an [attune.Error]: [attune.CodeNotFound], [attune.CodeConflict], [attune.CodeInvalid]
// for data that PostgreSQL cannot store, and [attune.CodeUnavailable] for a temporary problem of the connection or the server.
// Every other error is a bug.
//
// # Lists
//
// Lists are pages by id, newest first. A page starts before the last id of the previous page.
package postgres
