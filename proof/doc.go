// Package proof checks that a queue kept its promises. It is a pure function of the stored rows of one queue: [Rows] in,
// [Report] out. It shares no code with the packages that make the decisions, so their mistakes cannot hide here.
//
// # What it reads
//
// The counts of the queue, its enforcements, its log of grants, its log of manual changes, and the journal of its policies, all
// read at one instant. Rows that are read while the queue changes can contradict each other without any mistake. A grant whose
// policy is not in the journal is counted as [Counts].PolicyUnknown, and judged only by what holds under every policy.
//
// [CheckGates] is a check of its own: rates that reject and quotas are shared by queues. It reads their logs and counts, and what the
// enforcements of some queues, or of all, were charged.
//
// # What it proves
//
//   - [RuleTickets]. No accepted ticket is lost. Every sequence from 1 to the last assigned one is, exactly once, the current
//     place of an enforcement or a former place of an enforcement that has gone to the back. Each enforcement waits, holds a
//     slot, is parked, or has ended. No place was assigned before a place with a lower sequence (queued_at, the database's
//     clock).
//   - [RuleOnce]. No place is granted twice: the log contains no grant number and no place twice. The grants of one
//     enforcement, by number, are for later places and later attempts. Each took its slot after the previous slot was given
//     back.
//   - [RuleOrder]. Grants were decided in the order of acceptance: sorted by number, the sequences of a generation rise, and so
//     do the generations. A number that is missing in the log belongs to a ticket between its neighbours that this generation
//     did not grant. See "Generations". With [attune.AcrossSkip], the same holds within each lane. See "Lanes".
//   - [RulePassed]. With [attune.AcrossSkip], no eligible ticket was passed by a later one. See "Eligible tickets".
//   - [RuleLimit]. At the decision of every grant, fewer slots were held than the limit in force, in the queue, by the ticket's
//     action, and in the ticket's lane. The number of slots that the queue counted as freed agrees. See "The limit" and "What
//     the queue knew".
//   - [RuleRates]. Each attempt under a policy with rates of starts has a start, also a retry that kept its slot, and no more
//     attempts started in a window than the rate allows. [CheckGates] checks the rates that reject, of all queues.
//   - [RuleQuotas]. No charge took a quota above its limit, and each count is what enforcements have used. Only [CheckGates].
//   - [RuleLog]. The log and the enforcements agree. In its current place, a waiting or dropped enforcement has no grant, a
//     granted enforcement has a grant that holds its slot, and a parked or executed enforcement has a grant that has given its
//     slot back. Every former place has a grant that has given its slot back. Row and log have the same sequence, lane, action
//     and number. The status of the execution fits: retrying while the enforcement waits or is parked, ended when the
//     enforcement has ended.
//   - [RuleCounts]. The counts agree with the rows, and accepted = waiting + active + given back + dropped. "Given back" counts
//     the places of executed and parked enforcements, and every former place.
//   - [RuleChanges]. The log of manual changes is complete: its numbers rise from 1 without gaps, and each change starts from
//     the result of the previous change of its kind. (The limit of a policy changes without an entry.) The queue has the mode
//     and the limit of the latest changes. The grants obey the changes: none was decided while the queue was paused, none at
//     another limit than a manual limit without an end, none for a cancelled enforcement. See "Manual changes".
//
// # Generations
//
// A queue that loses its state is rebuilt from its rows. The rebuild begins a new generation. It continues with the highest
// number in the log, and starts with every ticket whose row waits. Unstored decisions of the previous generation are lost: its
// grants are void, and its settlements are not recorded. So the order holds within a generation. Across generations, three
// irregularities are possible:
//
//   - A number is missing. The number belonged to a ticket between its neighbours in the log. This generation and earlier ones
//     did not grant that ticket, because the log would have the grant. So the ticket waits, or a later generation granted it,
//     or it was dropped: after the last grant of its generation that was acted upon, or, in a generation above 0, by a
//     settlement of an older generation that was stored late. There must be at least as many such tickets as missing numbers.
//     Numbers above the last logged one of a generation are used again; they let no ticket overtake another.
//   - A ticket is overtaken: an earlier generation granted a ticket behind it ([Counts].Regranted). The ticket of a missing
//     number holds a slot until its generation ends, because a grant that was not acted upon has no release. So it counts
//     against the limit of every later grant of its generation ([RuleLimit]). At most limit−1 such tickets can exist in front
//     of any grant, so no grant overtakes more tickets with void grants.
//   - A ticket is overtaken and has no missing number ([Counts].Reprieved). The earlier generation settled the ticket (it
//     expired, the line was full, or a caller cancelled it), granted tickets behind it, and was lost before the settlement was
//     stored. A settlement uses no number and no slot, so the limit does not bound these cases. But a generation stores its
//     settlements in the order of its decisions. So it is a violation if the settlement of a ticket behind the overtaking one
//     was stored before the last grant of that generation that was acted upon. The other cases are counted. They all need a
//     full line, a drain, a cancel or a change of the timeout, because an expired ticket expires again.
//
// A missing number of the newest generation is a grant in delivery, to a ticket that still waits. It holds its slot like any
// other. A dropped ticket that can explain a missing number may have ended, and so given the slot back, before a later grant
// was requested. Such tickets do not count against the limit of that grant.
//
// # Lanes
//
// A generation is in order as a whole if the queue has one lane only, or if none of the policies that it can have obeyed is
// [attune.AcrossSkip]: those from the revision of the last grant before the generation to the revision of its own last grant.
// Any other generation is in order within each lane. A ticket in it may have been granted before a ticket in front of it in
// another lane. So a missing number can belong to any ticket that was accepted before the next logged grant was requested.
// There must be at least as many such tickets as missing numbers so far. A grant that was decided while the policy was not
// [attune.AcrossSkip] is still for the first ticket of the whole line: the generation grants no lower sequence after it.
//
// A ticket that was overtaken in its lane, and that a later generation granted, needs a missing number or a lost settlement, as
// above.
//
// # The limit
//
// The check uses the numbers of the grants, which give the order of the decisions, and the times requested_at and released_at,
// both by the database's clock. It does not use the queue's own clock (granted_at). Take a grant, and the grants with lower
// numbers that were released after it was requested. Each of these was decided earlier. A slot becomes free only after
// released_at is stored, and a grant is requested only after it is decided. So each of these still held its slot at the
// decision. Their number, plus the missing numbers of the same generation below the grant, must be below the limit recorded in
// the grant. A retry that keeps its slot keeps its grant, which continues to count. A lowered limit causes no violation,
// because the queue does not grant a holder again. So at no instant were more executions active than the limit recorded in the
// newest grant among them.
//
// The same count, over the grants of one action or of one lane, must be below the limit of that level in the policy whose
// revision the grant names. The limit of a lane is that of the ticket's action, or the manual limit of the lane that was in
// force. Each grant says how many manual changes the queue had made ([attune.Grant].Changes), so the log of changes shows which
// limit that was. A lane is not judged at a grant whose changes are not in the log: they are not recorded yet, or were lost with
// their generation. Missing numbers do not count here: their lanes and actions are unknown.
//
// # What the queue knew
//
// The queue learns of a release later than its row does, perhaps not in the order of the rows. Each grant names the slots that
// became free since the previous grant ([attune.Grant].Freed). [RuleLimit] is broken if the log does not show that such a slot was
// given back before the request of the grant. While generation 0 skips and none of its numbers is missing, the lists say exactly
// which slots the queue counted as held, at every level. Elsewhere, the check follows how many they were, from grant to grant:
//
//   - Generation 0 starts with no slot. What a later generation starts with is unknown.
//   - Every decision is below the limit that it records.
//   - A missing number takes a slot. How many slots became free before it is unknown.
//   - Only a policy with [attune.AcrossSkip] delivers decisions after they are durable. Under another policy, a decision that
//     was acted upon can be lost and taken again with another number of freed slots, so after it the count is unknown.
//
// The slots that the log proves to be held are among those that the queue counted. The rest of the count is slots that were
// given back in the log, without the queue knowing, and slots of missing numbers. It is called hidden here. [RuleLimit] is
// broken if the queue counted fewer slots as held than the log proves, or as many as the limit.
//
// If nothing is hidden at a decision, then the queue knew every release that the log shows until its request, and forever
// after. The same is true for one lane or one action whose limit, at a grant in it, left no room for a hidden slot.
//
// # Eligible tickets
//
// A queue grants nothing behind a ticket that has not arrived. So if a generation grants a ticket, and had granted a later
// ticket before, then the earlier one waited at that decision. A settlement or a lost grant cannot explain it: what a
// generation has settled or granted it does not grant again. The times of acceptance are not needed.
//
// Take such a ticket, and a grant of a later ticket in another lane that was decided after the last grant in the ticket's lane,
// and with [attune.AcrossSkip]. No ticket in front in the same lane can excuse the queue: such a ticket has the same limits,
// and is earlier as well. The queue had room, because it granted. It was not paused, and the rates of the whole queue were
// open. So [RulePassed] is broken if the ticket's lane and action had room for what the queue knew: if the slots that were
// surely held there, and all the hidden slots that can be in that lane or action, are below the limits of the policy that the
// grant names. If only the slots that were surely held are below them, the ticket counts as [Counts].Unclear. So does a ticket
// whose action has a rate of starts: the rate may have held the ticket. So does a ticket that can have waited behind one of
// another action, with other limits.
//
// # Manual changes
//
// Changes and grants have times of the queue's clock, which show the order of a change and a grant. At equal times, the check
// assumes the order in which the grant is right. A change is recorded after it was made. So a grant that contradicts the latest
// recorded change can be right: the change that allowed it may not be recorded yet, or may be lost with its generation. A
// generation records its changes in order. So a grant is judged only if its own generation also granted after the next change
// of the same kind: then no change in between was lost. The other contradictions are counted as [Counts].Undecided. A cancel is
// judged only if the generation of the grant had also granted before the cancel.
//
// # What it does not prove
//
//   - That a ticket was not passed which the generation did not grant later: it waits, it ended, or a later generation granted
//     it. Before the decision, the queue can have settled the ticket or granted it, and the rows of one instant cannot show it.
//   - That a policy in the journal is the policy that a person meant.
//   - That the limit in a grant is the limit that the policy meant. Nothing is proved about the limit of a grant that is older
//     than the log, and about the limit of a lane at a grant whose manual changes are not all in the log; such grants are counted
//     as [Counts].LimitUnknown.
//   - That a manual limit with an end was in force until that end: a rebuild compares the end with another clock. So a generation after
//     the first can have used the limit of the policy for a lane instead.
//   - That the rows of the lanes have the limits of the latest changes.
//   - How long the processes ran: an execution counts from its request to the report of its end.
//   - That a waiting ticket that a later grant passed wrongly is not lost. Its grant or settlement may be decided but not
//     stored yet; rows of one instant cannot tell the difference. Such tickets are counted as [Counts].Passed. A ticket that
//     stays in this state is stuck.
//   - When each attempt of an execution with a kept slot ran, and the order of starts and ends. Neither is promised.
//   - Anything while the clock of the database or of the queue is set back, or after a person reset the queue's workflow to an
//     earlier point: the workflow then decides again under the same numbers.
package proof
