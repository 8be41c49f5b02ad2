// Package proof checks, from the stored rows of one queue and nothing else, that the queue kept its promises. It is pure:
// [Rows] in, [Report] out. It shares no code with what made the decisions, so a mistake there cannot hide itself here.
//
// # What it reads
//
// The counts of the queue, its enforcements, its log of grants and its log of changes by hand, all of one instant: rows read
// while the queue moves contradict each other although the queue keeps its promises.
//
// # What it proves
//
//   - [RuleTickets]. Nothing accepted is lost: every sequence from 1 to the last one given out is, exactly once, the place of
//     an enforcement, or a former place of one that has gone to the back since. Each enforcement waits, holds a slot, is
//     parked, or has ended. No place was given out before one of a lower sequence (queued_at, the database's clock).
//   - [RuleOnce]. No place is granted twice: no grant number and no place is in the log twice. The grants of one enforcement, by
//     number, are for later places and later attempts, each taken after the slot of the one before was given back.
//   - [RuleOrder]. Grants were decided in the order of acceptance: sorted by number, the sequences of a generation rise, and so
//     do the generations. A number that is not in the log belongs to a ticket between its neighbours that was not granted by
//     that generation. See "Generations".
//   - [RuleLimit]. When a grant was decided, fewer slots were held than the limit in force. See "The limit".
//   - [RuleLog]. The log and the enforcements tell the same story. In the place that it has now, an enforcement that waits or
//     was dropped has no grant, one that is granted has one and holds its slot, one that is parked or was executed has one and
//     has given its slot back; every former place has a grant that was given back. Row and log agree on sequence, lane, number
//     and on how the execution stands: retrying while it waits or is parked, ended once the enforcement has.
//   - [RuleCounts]. The counts are those of the rows, and accepted = waiting + active + given back + dropped, where given back
//     are the places of those executed and parked, and every former place.
//   - [RuleChanges]. The log of changes by hand is complete (numbered from 1, each from where the one before of its kind has
//     led; limits of policies change on their own), the queue is set as it says, and grants obey it: none was decided while
//     the queue was paused, none at another limit than the limit set by hand without an end, none for an enforcement that had
//     been cancelled. See "Changes by hand".
//
// # Generations
//
// A queue that loses its state is rebuilt from its rows. Each time it is a generation later, counts on from the highest
// number in the log, and starts with every ticket whose row waits. Decisions of the generation before that were not stored
// are gone: its grants are fenced off, and the ends that it decided are not recorded. So order holds within a generation.
// Across generations, only the following can be odd:
//
//   - A number is missing. It was decided for a ticket between those of its neighbours, whose sequence they bound. The ticket
//     cannot have been granted in that generation or before, or it would have its row. So it waits, or was granted by a later
//     generation, or was dropped: after the last grant of its generation that was acted upon, or, in a generation above 0, by
//     an end that an older one had decided and that was stored late. At least as many such tickets as missing numbers must be
//     there. Numbers above the last one of a generation in the log are given out again: they let no ticket overtake another.
//   - A ticket is overtaken: a ticket behind it was granted by an earlier generation ([Counts].Regranted). Each holder of a
//     missing number holds a slot until its generation ends: the grant was not acted upon, and without that there is no
//     release. So the holder counts against the limit of every later grant of its generation ([RuleLimit]). That leaves room
//     for limit−1 such holders in front of any grant: no grant overtakes more tickets whose own grant was fenced off.
//   - A ticket is overtaken and no number of its own is missing ([Counts].Reprieved). The earlier generation had decided the end
//     of the ticket (it expired, the line was full, or a caller cancelled it), had granted tickets behind it, and was lost before
//     the end was recorded. An end takes no number and holds no slot, so the limit does not bound these cases. But a generation
//     stores ends in the order in which it decides them. So it is a violation if the end of a ticket behind the overtaking one
//     was stored before the last grant of that generation that was acted upon. Other cases are counted. None can occur without
//     a full line, a drain, a cancel or a change of the timeout: an expired ticket expires again.
//
// A missing number of the newest generation is a grant under way, to a ticket that still waits; it holds its slot like any other.
// A dropped ticket that may explain a missing number may also have given the slot back, by having ended before: as many as
// ended before a grant was requested are not counted against it.
//
// # The limit
//
// Compared are the numbers of the grants, which give the order of the decisions, and requested_at with released_at, both of
// them the database's clock; the queue's own clock (granted_at) plays no part. Take a grant and those of lower numbers
// that were released after it was requested. Each had been decided before it. A slot becomes free only after released_at
// is stored, and a grant is requested only after it is decided, so each still held its slot at that decision. Their number,
// with the missing numbers of the same generation below it, must be below the limit that the grant says was in force. A
// retry that keeps its slot keeps its grant, which goes on counting. A limit that is lowered drains without a violation: an
// enforcement that already holds a slot is not granted again. So at no instant were more executions active than the limit
// recorded in the newest grant among them.
//
// # Changes by hand
//
// Both a change and a grant carry the queue's clock, so it can be told which came first; at the very same instant it cannot, and
// the grant gets the benefit of it. A change is recorded some time after it was made. Grants that contradict the latest
// recorded change may thus be right, if the change that allowed them is under way, or was lost with its generation. A
// generation records its changes in order. So a grant is judged when its own generation has also granted after the next
// change of the same kind: none in between can have been lost. The others are counted as [Counts].Undecided. A cancel is
// judged when the generation of the grant had granted before the cancel, too.
//
// # What it does not prove
//
//   - That the limit recorded in a grant is the limit that a policy meant; nor anything about the limit of a grant without a
//     recorded limit, being older than the log. Such grants are counted as [Counts].LimitUnknown.
//   - That a limit by hand was in force until its end, if it has one: a rebuild asks another clock whether that has come.
//   - That the processes themselves kept to the times: an execution counts from its request to the report of its end.
//   - That a waiting ticket behind a later grant is on its way: its own grant or end may have been decided and not be stored
//     yet, which one instant cannot tell from being lost. They are counted as [Counts].Passed; one that stays is stuck.
//   - When each attempt of an execution that kept its slot ran. Order of starts and ends: both are not promised.
//   - Anything while a clock, the database's or the queue's, is set back; or about a queue whose workflow was reset to an earlier
//     point by hand, which decides again under the same numbers.
package proof
