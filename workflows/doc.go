// Package workflows contains attune's workflows and the client for queue workflows.
//
// # ActionQueueWorkflow, id "queue/<key>"
//
// One long-lived workflow per queue: the durable shell around a [semaphore.State]. It is the authority on holders and waiting
// tickets. It receives signals ("acquire", "release", "retry", "cancel") and updates (manual changes), and applies them to the
// state. Activities carry out the decisions of the state: they deliver grants, record decisions, start the workflows of long
// waiting tickets asleep, fill gaps, and inspect holders. A decision stays in the state until its activity has succeeded, and
// the activity is repeated until then. So every activity is idempotent.
//
// Small batches use local activities, which run before the decision behind them is durable. If a workflow task is lost, its
// repetition decides again, at a later time. So a row can have a grant that the state does not know. The ticket of that grant
// keeps its place in the line, and its row counts before it can leave the line: see [semaphore.State.SettlementsRecorded]. Manual changes
// use regular activities only, which run after the decision is durable.
//
// A failed activity is repeated with growing pauses. A queue that cannot get something done shows the problem in its memo and
// its Current Details.
//
// One coroutine owns the channels, the state and the decision to continue as new. It applies every received signal before it
// continues as new. A run continues as new only after a turn, and not before it is [minRunAge] old. A closing run refuses
// updates and starts no new activities, except for pending manual changes. It ends when no activity runs, or after
// [closingTime].
//
// A run without carried state rebuilds the state from the rows in PostgreSQL before it receives anything. That is the first
// run, or the first run after a person terminated the workflow. Cancelling the workflow has no effect: a queue never ends.
//
// # EnforcementWorkflow, id "enforcement/<id>"
//
// The workflow of one enforcement turns its grant into one published execution. It starts in one of three ways:
//
//   - Started by its grant, which is in its input. This is the usual case.
//   - Started asleep, if its ticket has waited for long. Its grant, a cancel, or the end of [SleepFor] wakes it.
//   - Started by a person, with the enforcement's id only. It acquires its ticket and waits for its grant.
//
// A waiting workflow acquires its ticket again after [grantWatchdog], so a lost signal costs only time. If its grant is fenced
// off because the queue was rebuilt, it waits for the next grant. An idempotent activity creates and publishes the execution.
// The worker's report, not this workflow, releases the slot. This workflow releases the slot only if the enforcement ended
// before it could run (cancelled, expired).
//
// # Changing workflow code
//
// The tests replay every recorded history in testdata/histories. Code that takes another path through a history fails the test.
// From the first release on, recorded histories stay valid. To change the logic:
//
//  1. Give the change an id, and read its version once at the start of a run (workflow.GetVersion).
//  2. Take the new path only in runs with the new version, and keep the old path.
//  3. Record histories of the new path under new names (make histories), and keep the old histories.
//
// A run keeps its version to its end; the next run takes the newest version. The signal "force-continue-as-new" ends a run
// early. When every running queue has a change id, the id can be removed together with the old path and its histories.
package workflows
