// Package proof checks, from the stored rows of one queue and nothing else, that the queue kept its promises. It is pure:
// rows in, [Report] out. It shares no code with what made the decisions, so a mistake there cannot hide itself here.
//
// # What it reads
//
// The counts of the queue, its enforcements and its grant log, all of one instant: rows read while the queue moves
// contradict each other without anybody having broken anything.
//
// # What it proves
//
//   - [RuleTickets]. Nothing accepted is lost: the sequences of the enforcements are 1 to the number of tickets ever
//     accepted, each once, and each waits, holds a slot, or has ended. No ticket was accepted before one of a lower
//     sequence (queued_at, the database's clock).
//   - [RuleOnce]. Nobody was granted twice: no grant number, and no attempt of an enforcement, is in the log twice.
//   - [RuleOrder]. Grants were decided in the order of acceptance: sorted by number, the sequences of first attempts rise. A
//     number that is not in the log belongs to a grant that is under way to a ticket that still waits in just that place.
//   - [RuleLimit]. When a grant was decided, fewer slots were held than the limit in force. See below.
//   - [RuleLog]. The log and the enforcements tell the same story: one that was executed has grants and has given back every
//     slot, one that is granted holds exactly one slot, any other never had one; sequences and numbers agree; no slot was
//     given back before it was taken, and it is given back exactly when the execution has ended.
//   - [RuleCounts]. The counts are those of the rows, and accepted = waiting + active + executed + dropped.
//
// # The limit
//
// Compared are the numbers of the grants, which give the order of the decisions, and requested_at with released_at, both of
// them the database's clock; the queue's own clock (granted_at) plays no part. Take a grant and those of lower numbers
// that were released after it was requested. Each had been decided before it. A slot becomes free only after released_at
// is stored, and a grant is requested only after it is decided, so each still held its slot at that decision. Their number
// must be below the limit that the grant says was in force. A limit that is lowered therefore drains without a violation: who
// holds a slot already is not granted again. It follows that at no instant more executions were active than the limit
// recorded in the newest grant among them.
//
// # What it does not prove
//
//   - That the limit recorded in a grant is the one that somebody meant to be in force; nor anything about the limit of a
//     grant that does not know it, being older than the log. These are counted as [Counts].LimitUnknown.
//   - That the processes themselves kept to the times: an execution counts from its request to the report of its end.
//   - That a waiting ticket behind a later grant is on its way: its own grant or end may have been decided and not be stored
//     yet, which one instant cannot tell from being lost. They are counted as [Counts].Passed; one that stays is stuck.
//   - Order among later attempts of an enforcement, and order of starts and ends: both are not promised.
//   - Anything while the database's clock is set back.
package proof
