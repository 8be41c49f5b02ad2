// Package postgres keeps attune's state in PostgreSQL 15 or later.
//
// # Authority
//
// The order of tickets is decided here and nowhere else: [Enforcements.Admit] assigns the sequence of an enforcement
// while it holds the row of its queue. Which queue that is was decided before, when [Events.Record] stored the enforcement,
// and never changes. The rows of enforcements and executions are the truth about their status. Who
// holds a slot and who waits, and how a queue is set by hand, is decided by the queue's workflow; what it decides is
// recorded here, so that a queue that lost its state can be rebuilt with [Queues.Rebuild], and so that everybody can see
// afterwards what was done: [Queues.Changes], [Queues.Grants] and [Executions.Attempts] are kept for ever.
//
// Whether an attempt is tried again, and where the enforcement waits for it, is decided here, by [Executions.Finish], in the
// transaction that ends the attempt. The queue is told, and tells when the next attempt may begin.
//
// Whether a worker may go on with an attempt is decided here, too: by the lease that [Executions.Claim] gives it and
// [Executions.Renew] prolongs, by PostgreSQL's clock. A clock that jumps ahead ends leases early.
//
// # Guarantees
//
//   - One method, one transaction. Nothing is half done, whoever is killed at whatever moment.
//   - Every change of status is a compare-and-set from named earlier statuses. Repeating a call that succeeded, or whose
//     answer was lost, changes nothing and answers the same.
//   - Sequences of a queue are dense and rise in the order in which ids were given to Admit. The time of acceptance has
//     millisecond precision and is never before that of a lower sequence.
//   - An event has at most one enforcement per rule, an enforcement at most one execution, and a queue never gives a
//     sequence or a grant number twice. These are constraints of the database, not of this code.
//   - An enforcement has one place at a time. One that goes back to the line gets a new one, and the grant of the old one
//     stays in the log.
//   - A grant is in the log if and only if it was acted upon, and is released there when its execution has ended, or its
//     attempt if the slot was given up, with the very times of these.
//   - last_sequence = waiting + granted + total_completed + total_dropped for every queue, in every committed state.
//     Completed are slots that were given back, which an enforcement can do several times.
//   - Only what runs has a lease, and it is never shortened. One that has run out is never renewed and never granted again:
//     its attempt ends by the report of [Executions.ExpireLeases] that its worker was lost, unless another was faster.
//   - Of the grants of an earlier generation of a queue, each was acted upon before the queue was rebuilt, and then the queue
//     was rebuilt with it, or it never will be.
//   - Times are PostgreSQL's clock, except those that a queue has set: of a grant, and of a change by hand.
//
// # Locks
//
// Transactions take locks in this order, and several of a kind in ascending order, so they cannot deadlock:
//
//	generation of one queue → enforcements still "created" (by id) → queues (by id) → executions (by id)
//	→ other enforcements → their grants
//
// Recording an event locks no queue. It makes the queues that do not exist yet, in the order of their keys, and holds nothing
// that those who wait for them could need.
//
// Whoever changes an enforcement that has an execution has locked that execution, so grants need no order of their own, and
// what is read after the lock stays true. Claims and renewals lock executions only, requests one execution and its
// enforcement. The lock of a generation is an advisory one: requests share it, and a rebuild has it alone. Installing packs
// is serialized by another.
//
// # Silent connections
//
// A connection can be lost without being closed: a network, a firewall or a proxy drops what is sent over it. Nothing here
// waits for such a connection without a limit:
//
//   - A statement ends after 30 s, those of the outbox after 10 s, as [attune.CodeUnavailable].
//   - A connection of the pool that has rested for a second is asked before it is used. If the answer does not come within
//     5 s, the pool replaces all that rest.
//   - The outbox is read 20 s after its relay has lost its connection, at the latest: see [Outbox.Lead].
//   - TCP keepalives of this end notice a server that is gone within 30 s, those of the server a client within 25 s.
//
// # Failures
//
// What the caller can act upon is an [attune.Error]: [attune.CodeNotFound], [attune.CodeConflict],
// [attune.CodeInvalid] for data that PostgreSQL can never store, and [attune.CodeUnavailable] for everything that is
// about the connection or the server's state and may pass. Every other error is a bug.
//
// # Lists
//
// Lists are pages by id, newest first: the next page starts before the last id of the one before it.
package postgres
