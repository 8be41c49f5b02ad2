package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

const (
	// minRunAge is above the server's minimum interval between runs of one id (1 s). After a younger run, the server would
	// delay the next one.
	minRunAge = 2 * time.Second
	// maxHistory is the number of events after which a run ends. It is lower than the server's suggestion, because a short
	// history replays faster after a restart.
	maxHistory = 2000

	// localBatch is the largest batch for a local activity: as many workflows as the activity starts in parallel. A larger batch
	// would keep the workflow task open for longer, and the server repeats a task that is open while more than 100 signals
	// arrive.
	localBatch = 16
	// maxGrants and maxSettlements bound one batch.
	maxGrants      = 500
	maxSettlements = 1000
	// maxGap bounds the sequences of one part of a gap. A ticket takes about 90 bytes, so the result of the activity is far below
	// the payload limit of 2 MB.
	maxGap = 5000
	// maxSleepers bounds one batch of workflows to start asleep. It is small, because no ticket waits for these starts.
	maxSleepers = 100
	// maxChanges bounds the manual changes of one update, and of one batch to record.
	maxChanges = 100
	// maxRefusals is how often the database may refuse a change before the queue gives it up. The pauses between the tries take 7 s, so
	// the caller gets the answer within [changeTimeout].
	maxRefusals = 3

	// closingTime is how long a closing run waits for running activities. All activities are idempotent, so the next run can
	// repeat them.
	closingTime = 10 * time.Second

	// viewLength is the number of waiting tickets in a view of the queue.
	viewLength = 20

	// grantWatchdog is how long an EnforcementWorkflow waits for its grant before it acquires its ticket again.
	grantWatchdog = 10 * time.Minute
	// SleepFor is how long a workflow that was started asleep sleeps, unless a signal wakes it.
	SleepFor = grantWatchdog
)

// localOptions sets the options of a local activity: one try of at most a second, so that the workflow task does not stay open. A
// regular activity repeats a failed one.
func localOptions(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    time.Second,
		ScheduleToCloseTimeout: time.Second,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 1},
		Summary:                summary,
	})
}

// regularOptions sets the options of a regular activity. Temporal retries it, at most every five seconds, until it succeeds, its
// error is final, or the limit has passed. A limit of 0 means no limit.
func regularOptions(ctx workflow.Context, summary string, limit time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout:    30 * time.Second,
		HeartbeatTimeout:       heartbeatTimeout,
		ScheduleToCloseTimeout: limit,
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval: 200 * time.Millisecond, BackoffCoefficient: 2, MaximumInterval: 5 * time.Second,
		},
		Summary: summary,
	})
}

// do runs a local activity. If that fails with an error that is not final, do runs a regular activity.
func do(ctx workflow.Context, summary, activity string, input, output any) error {
	err := workflow.ExecuteLocalActivity(localOptions(ctx, summary), activity, input).Get(ctx, output)
	if err == nil || final(err) {
		return err
	}
	return workflow.ExecuteActivity(regularOptions(ctx, summary, 0), activity, input).Get(ctx, output)
}
