// Package workflows holds attune's two workflows and the client that signals them.
//
// # ActionQueueWorkflow, id "queue/<key>"
//
// One long-lived workflow per queue: the durable shell around a [semaphore.State]. It is the authority on who holds a slot
// and who waits. It accepts signals ("acquire", "release", "retry", "cancel"), applies them to the state, and has activities
// do what the state has decided: deliver grants, record settlements, park long waiters, look into gaps. Whatever an activity
// has not confirmed stays in the state and is done again, so every one of them is idempotent.
//
// Small batches go by local activities: they happen before the decision behind them is durable, and a workflow task that is
// lost or done again decides anew, later. So a ticket can hold a slot of which the queue knows nothing. Its place in the line
// protects it, and its row has the last word before it can leave the line: see [semaphore.State.Recorded].
//
// One coroutine owns the channels, the state and the decision to continue as new; nothing is received while that decision
// is being carried out, and everything received is applied before it. A run continues as new only after it has processed
// something, not before it is [minRunAge] old, and never with an activity under way.
//
// A run that starts without carried state (the first one, or one after the workflow was terminated) rebuilds it from the
// rows in PostgreSQL before it listens to anybody. Cancelling the workflow does nothing: a queue has no end of its own.
//
// # EnforcementWorkflow, id "enforcement/<id>"
//
// Turns one granted enforcement into one published execution. Usually it is started by its grant and takes it from its
// input. One that is parked was started asleep and is woken by its grant, by a cancel, or after [ParkedFor] by itself.
// Started by hand, it acquires for itself and waits; it then asks again after [grantWatchdog], so a signal that was lost
// anywhere costs time and nothing else. A grant that is fenced off, because its queue was rebuilt, makes it wait for the
// next. The execution is created and published by an idempotent activity; the worker's report, not this workflow, releases
// the slot. Only an enforcement that ended before it could run (cancelled, expired) is released from here.
//
// # Changing workflow code
//
// Every recorded history in testdata/histories is replayed by the tests: one folder per version of the queue's logic. Code
// that would take another path through one of them fails there. Then
//
//  1. give logicVersion a new value with a name that says what is new,
//  2. take the new path only in runs of that version (q.logic >= …), and keep the old one,
//  3. record histories of the new version (make histories); leave the older folders as they are.
//
// A run keeps its version to its end; the next one takes the newest. The signal "force-continue-as-new" ends a run early. A
// version that no running queue uses any more can be removed together with its folder.
package workflows
