// Package semaphore decides, for one queue, which ticket may run and when: a counting semaphore with FIFO order, as plain data
// and plain functions. It knows no clock, no network and no workflow engine; [State] is a value that a durable workflow
// carries, and every operation takes the time from its caller.
//
// # Guarantees
//
// For every sequence of operations, in every order, with any of them repeated:
//
//   - Order. Grants are decided in sequence order. A newcomer is never granted while another ticket waits in front of it.
//   - Limit. No grant is decided while the number of holders is at or above the limit. Lowering the limit below the
//     number of holders ends no holder: the queue drains to the new limit.
//   - Once. A ticket ends in exactly one way: released after a grant, or settled (rejected, cancelled, expired) without
//     one. Operations are keyed by ticket, so a second release or a repeated acquire changes nothing and is counted.
//   - Nothing is lost. A decision that is still to be carried out (a grant to deliver, a settlement to record, a gap to look
//     into) is part of the state until the caller says that it is done; it survives every hand-over of the state.
//
// Order is promised for grants. It is not promised for starts or completions: with a limit above one, two holders race.
//
// # Sequences
//
// Tickets of a queue carry dense sequences that start at 1, assigned by one authority before they come here. That makes
// memory of finished tickets unnecessary: every sequence below State.next has been seen, so a repeated ticket below it
// that neither holds nor waits has ended. It also makes loss visible: a ticket above State.next means that the tickets between
// have not arrived. The queue waits for them and never passes them: [State.Missing] names the gap, [State.Backfill] closes it.
//
// # Retries
//
// An enforcement has one place at a time. A retry that keeps its slot keeps its place and its grant: [State.Retry] says which
// attempt is next and when it may start. A retry that goes to the back comes as a ticket with a new sequence and a later
// attempt; by coming, it gives its old slot back, so a lost word about the old place costs nothing.
//
// # Decisions
//
// Every operation ends in the same step, which looks at the state and nothing else: expire the waiting tickets whose time
// is up, then grant in order while slots are free, let held attempts start whose time has come, look now and then for tickets
// that have waited for long; then apply the bound to the tickets that still wait. A ticket whose deadline and whose slot
// arrive at the same instant expires.
//
// # What is not promised
//
// That a grant is acted upon at once, or at all: its enforcement may end first, and its delivery may be slow. That slots are
// used evenly, or that an attempt that is held back by the policy leaves its slot to others meanwhile. Anything about order
// between queues.
package semaphore
