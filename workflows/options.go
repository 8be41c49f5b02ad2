package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
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
	// maxSleepers bounds one batch of workflows that are started asleep. It goes slowly: no caller waits for it.
	maxSleepers = 100
	// maxChanges bounds the changes by hand of one update, and those that are recorded at a time.
	maxChanges = 100
	// maxRefusals is how many times the rows may refuse a change before the queue gives it up.
	maxRefusals = 5

	// closingTime is how long a run that wants to continue as new waits for what is under way. All of it is idempotent, so the
	// next run can do it again.
	closingTime = 10 * time.Second

	// viewLength is how many waiting tickets a view of the queue lists.
	viewLength = 20

	// grantWatchdog is how long an EnforcementWorkflow waits for its grant before it acquires again.
	grantWatchdog = 10 * time.Minute
	// SleepFor is how long one that was started asleep sleeps, unless it is woken: as long as one that waits awake.
	SleepFor = grantWatchdog
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

// patiently are the options of a regular activity: tried again, every five seconds in the end, until it is done, turns out
// to be impossible, or the time is up; a time of 0 is never up.
func patiently(ctx workflow.Context, summary string, limit time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    30 * time.Second,
		ScheduleToCloseTimeout: limit,
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
	return workflow.ExecuteActivity(patiently(ctx, summary, 0), activity, input).Get(ctx, output)
}
