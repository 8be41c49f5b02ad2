// Package semaphore is a counting semaphore with FIFO order: it decides, for one queue, which ticket gets a slot and when. It
// consists of plain data and plain functions, without clock, network or workflow engine. A durable workflow carries the
// [State], and the caller of an operation passes the time.
//
// # Guarantees
//
// For every sequence of operations, in every order, with any of them repeated:
//
//   - Order. Within a lane, grants are decided in sequence order. Across lanes, no eligible ticket is passed by a later one; with
//     [attune.AcrossStrict], no ticket at all is.
//   - Limit. No grant is decided while the number of holders is at or above a limit: of the queue, of the ticket's action, or of
//     its lane. A limit below the number of holders ends no holder: nothing is granted until enough slots are released.
//   - Rate. In every window of a rate of starts, no more attempts start than the rate allows.
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
// # Lanes and levels
//
// The tickets of a queue wait in lanes, and each asks for an action. A ticket is eligible if it is the first of its lane, its
// queue, its action and its lane have room, every rate of starts allows a start, and the queue is not paused. The limit of a lane
// is that of the first ticket's action, or the manual limit of the lane. A lane or an action that cannot be granted is in no heap, so it costs nothing until a
// holder frees room in it. [State.Obstacles] says what a ticket waits for.
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
//  1. Let the tickets whose sequence has come join the line. End what a newcomer with [attune.BusyReplace] replaces.
//  2. End the manual limits that have expired, of the queue and of lanes.
//  3. Expire the waiting tickets whose deadline has passed.
//  4. Start the retries of holders whose delay is over, as far as the rates allow.
//  5. Grant the eligible tickets, the lowest sequence first, while slots are free.
//  6. Once per interval, find tickets that have waited for long.
//  7. Reject the newcomers that must not wait ([attune.BusySkip]), and the tickets above max_queued_per_key and max_queued. If a
//     ticket left, decide again, because an eligible ticket can stand behind it.
//
// Reports that something is delivered, recorded or started decide nothing, unless the rows contradict a settlement: see
// [State.SettlementsRecorded].
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
