// Package semaphore is a counting semaphore with FIFO order: it decides, for one queue, which ticket gets a slot and when. It
// consists of plain data and plain functions, without clock, network or workflow engine. A durable workflow carries the
// [State], and the caller of an operation passes the time.
//
// # Guarantees
//
// For every sequence of operations, in every order, with any of them repeated:
//
//   - Order. Grants are decided in sequence order. No ticket is granted while another ticket waits in front of it.
//   - Limit. No grant is decided while the number of holders is at or above the limit. A limit below the number of holders ends
//     no holder: the queue grants nothing until enough slots are released.
//   - Once. A ticket ends in exactly one way: released after a grant, or settled (rejected, cancelled, expired) without a
//     grant. Operations are keyed by ticket, so a second release or a repeated acquire is counted and changes nothing.
//   - Durability. A pending decision (a grant to deliver, a settlement to record, a gap to fill) stays in the state until the
//     caller reports that it is done. It survives encoding and decoding.
//
// The order holds for grants, not for starts or completions: with a limit above one, the processes of two holders race.
//
// # Sequences
//
// The tickets of a queue have dense sequences from 1, which the database assigns before they are acquired. So the state needs
// no memory of ended tickets: every sequence below State.next has been seen, and a ticket below it that neither holds a slot
// nor waits has ended. A ticket above State.next reveals a gap: the tickets between have not arrived. The queue grants nothing
// behind a gap. [State.Missing] returns the gap, [State.Backfill] closes it.
//
// A cancel or a release can name a ticket that has not arrived. The state then remembers the enforcement and the sequence. When
// that ticket arrives, it has ended. The ticket of another enforcement with that sequence is not affected.
//
// # Retries
//
// An enforcement has one place at a time. A retry that keeps its slot keeps its place and its grant: [State.Retry] sets the
// next attempt and its earliest start. A retry at the back arrives as a ticket with a new sequence and a later attempt. Its
// arrival frees the slot of the earlier place, so a lost release of that place is harmless.
//
// # Decisions
//
// Every operation that can change who is next, or who is due, ends with the same steps. They depend on the state and the time
// only:
//
//  1. End the manual limit if it has expired.
//  2. Expire the waiting tickets whose deadline has passed.
//  3. Grant in sequence order while slots are free.
//  4. Start the retries of holders whose delay is over.
//  5. Once per interval, find tickets that have waited for long.
//
// The operations that add newcomers to the line ([State.Acquire], [State.Backfill]), and [State.Rebuilt], then reject tickets
// above max_queued. Reports that something is delivered, recorded or started decide nothing, unless the rows contradict a
// settlement: see [State.SettlementsRecorded].
//
// If the deadline of a ticket and a free slot come at the same instant, the ticket expires.
//
// # Limits of the guarantees
//
//   - A grant can have no effect: its enforcement can end before the delivery.
//   - Nothing bounds the time until a grant is delivered.
//   - A holder keeps its slot while the policy delays its next attempt.
//   - There is no order between queues.
package semaphore
