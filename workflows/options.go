package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// logicChange names the marker by which a run of a queue remembers the version of the code it was started with. A run
	// without one is of the first version; logicVersion is that of new runs.
	logicChange                   = "logic"
	logicControl workflow.Version = 2 // records changes made by hand, and inspects holders
	logicParking workflow.Version = 3 // parks who waits for long, lets an early timer be, has a memo, and lets rows settle lost decisions
	logicVersion                  = logicParking

	// minRunAge keeps runs older than the server's minimal interval between runs of one id (1 s): a younger run's successor
	// would be held back for the rest of it.
	minRunAge = 2 * time.Second
	// maxHistory ends a run before the server suggests it: a shorter history is read faster after a restart.
	maxHistory = 2000

	// quickGrants is the size up to which a batch is delivered inside of the workflow task: as many as are started side by
	// side. Longer ones would keep the task open, and a task that stays open while more than 100 signals come in is done all
	// over again by the server.
	quickGrants = 16
	// maxGrants and maxSettlements bound one batch.
	maxGrants      = 500
	maxSettlements = 1000
	// maxParked bounds one batch of tickets that are parked. It goes slowly: nobody waits for it.
	maxParked = 100
	// maxChanges bounds the changes by hand that are recorded at a time.
	maxChanges = 100

	// viewLength is how many waiting tickets a view of the queue lists.
	viewLength = 20

	// grantWatchdog is how long an EnforcementWorkflow waits for its grant before it acquires again.
	grantWatchdog = 10 * time.Minute
	// ParkedFor is how long a parked one sleeps, unless it is woken: as long as one that waits awake.
	ParkedFor = grantWatchdog
)

// quickly are the options of a local activity: a step of a few milliseconds, tried once, given up before it keeps the
// workflow task open for long. What is given up is done by a regular activity.
func quickly(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    time.Second,
		ScheduleToCloseTimeout: time.Second,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
		Summary:                summary,
	})
}

// patiently are the options of a regular activity: tried again, every five seconds in the end, until it is done or turns
// out to be impossible.
func patiently(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second,
		},
		Summary: summary,
	})
}

// do runs an activity quickly, and patiently if that did not work.
func do(ctx workflow.Context, summary, activity string, input, output any) error {
	err := workflow.ExecuteLocalActivity(quickly(ctx, summary), activity, input).Get(ctx, output)
	if err == nil || final(err) {
		return err
	}
	return workflow.ExecuteActivity(patiently(ctx, summary), activity, input).Get(ctx, output)
}
