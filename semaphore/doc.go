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
// # Retries
//
// An enforcement has one place at a time. A retry that keeps its slot keeps its place and its grant: [State.Retry] sets the
// next attempt and its earliest start. A retry at the back arrives as a ticket with a new sequence and a later attempt. Its
// arrival frees the slot of the earlier place, so a lost release of that place is harmless.
//
// # Decisions
//
// Every operation ends with the same steps, which depend on the state and the time only:
//
//  1. Expire the waiting tickets whose deadline has passed.
//  2. Grant in sequence order while slots are free.
//  3. Start the retries of holders whose delay is over.
//  4. From time to time, find tickets that have waited for long.
//  5. Reject tickets above max_queued.
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
