// Package replay runs the recorded history of one queue through [semaphore.State] again, in virtual time. It answers two
// questions: does the core decide the recorded grants in their recorded order, and what would have happened under another
// policy? It consists of plain functions of plain data: no clock, no database.
//
// # The recorded order
//
// [Recorded] replays the grants under the policies that were in force. Each grant says which releases the queue had seen before it
// ([attune.Grant].Freed), because a queue learns of a release later than the row does. Nothing is granted behind a ticket that
// has not arrived, so every ticket in front of a granted one had arrived as well. So each decision is taken with what the queue
// knew: the state may grant one ticket, and it must be the recorded one. What left the line without a grant leaves as recorded.
//
// # What if
//
// [Simulate] replays the arrivals, the holds and the manual changes under any policies. The state decides everything: grants,
// rejects, expiries, and what is dropped or replaced. The assumptions:
//
//   - A run takes as long as it took, with its attempts and the delays between them. The time is that from the grant until the
//     queue learned of the release, so it contains what the machinery took.
//   - A ticket that never ran takes the time of a recorded run of the same action, one after the other. They are counted as
//     [Outcome].Borrowed.
//   - A ticket whose run has not ended holds its slot to the end. These are counted as [Outcome].Unfinished.
//   - A retry at the back of the line, or of a parked ticket, arrives as long after the release as it did.
//   - A run that a newcomer replaces ends at once, unless it ended earlier.
//   - Manual changes come when they came. A cancel has no effect on a ticket that does not wait then.
//   - The retries of a holder are not counted as starts by the rates of starts.
//
// With [Plan].Choices and [Plan].Gates, rates and quotas judge every arrival that is no retry, those included that a gate has really
// refused, and then the queue decides. The decider is that of an admission: [policy.SlidingLog], [policy.PeriodAt] and
// [policy.ChargeAll]. Further assumptions:
//
//   - The lanes are those that a key chooses now, also of what waited or held a slot at the start.
//   - A gate judges at the time of the place in the line. The admission came a little later.
//   - The enforcements that were accepted before the period have used units of every gate, also of one that was not in force then:
//     see [Gates].Accepted.
//   - The gates count the enforcements of this queue only.
//   - An execution that was cancelled before a worker claimed it keeps its units of quotas.
//
// Without them, the lanes are the recorded ones, and the gates decide as they did.
//
// What waited at the start of the period waits, and what held a slot holds it. After the end of the period nothing arrives, and the
// replay goes on until nothing changes, so that the waits of late arrivals count as well.
package replay
