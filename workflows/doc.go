// Package workflows holds attune's two workflows and the client that signals them.
//
// # ActionQueueWorkflow, id "queue/<key>"
//
// One long-lived workflow per queue: the durable shell around a [semaphore.State]. The workflow is the authority on who holds a
// slot and who waits. It accepts signals ("acquire", "release", "retry", "cancel") and updates (changes by hand), applies them to
// the state, and has activities do what the state has decided: deliver grants, record decisions, start the workflows of long
// waiters asleep, fill gaps, inspect holders. Whatever an activity has not confirmed stays in the state and is done again, so
// every activity is idempotent.
//
// Small batches go by local activities: they happen before the decision behind them is durable, and a workflow task that is
// lost or done again decides anew, later. So a ticket can hold a slot of which the queue knows nothing. Its place in the line
// protects it, and its row has the last word before it can leave the line: see [semaphore.State.Recorded]. Changes by hand are
// recorded by regular activities only, which run after the decision is durable.
//
// An activity that fails is tried again with growing pauses, never at once and never from a loop in the history. A queue that
// cannot get something done shows the problem in its memo and its Current Details.
//
// One coroutine owns the channels, the state and the decision to continue as new; nothing is received while that decision
// is being carried out, and everything received is applied before it. A run continues as new only after it has processed
// something and not before it is [minRunAge] old. A run that is to end takes no updates and starts nothing new; it ends when
// nothing is under way, or after [closingTime].
//
// A run that starts without carried state (the first one, or one after the workflow was terminated) rebuilds the state from the
// rows in PostgreSQL before it receives anything. Cancelling the workflow does nothing: a queue has no end of its own.
//
// # EnforcementWorkflow, id "enforcement/<id>"
//
// Turns one granted enforcement into one published execution. Usually it is started by its grant and takes it from its
// input. The workflow of a ticket that waits for long is started asleep, and wakes by its grant, by a cancel, or after [SleepFor].
// Started by hand, it acquires for itself and waits; it then asks again after [grantWatchdog], so a signal that was lost
// anywhere costs time and nothing else. A grant that is fenced off, because its queue was rebuilt, makes it wait for the
// next. The execution is created and published by an idempotent activity; the worker's report, not this workflow, releases
// the slot. Only an enforcement that ended before it could run (cancelled, expired) is released from here.
//
// # Changing workflow code
//
// Every recorded history in testdata/histories is replayed by the tests. Code that would take another path through one of them
// fails there. From the first release on, recorded histories bind:
//
//  1. give the change an id that says what it changes, and ask for it once at the start of a run (workflow.GetVersion),
//  2. take the new path only in runs that have it, and keep the old one,
//  3. record histories of the new path under new names (make histories), and leave the older ones as they are.
//
// A run keeps its version to its end; the next one takes the newest. The signal "force-continue-as-new" ends a run early. A
// change id that every running queue has can be removed together with the old path and its histories.
package workflows
