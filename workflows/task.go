package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

const (
	// taskTimeout bounds one try of a task, including Temporal's retries of its activity.
	taskTimeout = time.Minute
	// firstPause and longestPause bound the pause after a failed try. The pause doubles with every failure.
	firstPause   = time.Second
	longestPause = time.Minute
	// problemAfter is the number of failed tries after which the queue shows a problem.
	problemAfter = 3
)

// task is one kind of activity of a queue, which runs at most once at a time. The first try can be a local activity. After a
// failure, a regular activity follows at once, and further ones with growing pauses, until one succeeds or the state needs
// none.
type task struct {
	problem string // what the queue cannot do while the task fails
	// plan returns the next try, or nil if the state needs none. It is called only when a try may begin.
	plan func(ctx workflow.Context, now time.Time) *try

	current  *try            // the running or the last try
	future   workflow.Future // nil while no try runs
	failures int             // failed tries since the last success
	err      error           // of the last try
	retryAt  time.Time       // the earliest time of the next try
}

// try is one call of an activity.
type try struct {
	local    bool // use a local activity, unless the last try failed
	summary  string
	activity string
	input    any
	output   any                        // receives the result; nil without one
	apply    func(now time.Time)        // applies the result to the state
	fail     func(ctx workflow.Context) // called after a failure; nil does nothing
}

func (t *task) running() bool { return t.future != nil }
func (t *task) done() bool    { return t.future != nil && t.future.IsReady() }

// idle reports whether a try may begin now.
func (t *task) idle(now time.Time) bool { return t.future == nil && !now.Before(t.retryAt) }

// begin starts a try if one may begin and the state needs one.
func (t *task) begin(ctx workflow.Context, now time.Time) {
	if !t.idle(now) {
		return
	}
	next := t.plan(ctx, now)
	if next == nil {
		return
	}
	t.current = next
	if next.local && t.failures == 0 {
		t.future = workflow.ExecuteLocalActivity(localOptions(ctx, next.summary), next.activity, next.input)
		return
	}
	t.future = workflow.ExecuteActivity(regularOptions(ctx, next.summary, taskTimeout), next.activity, next.input)
}

// collect applies the result of a done try. After a failure, the decision stays in the state.
func (t *task) collect(ctx workflow.Context, now time.Time) {
	switch {
	case !t.done():
	case t.finish(ctx):
		t.current.apply(now)
	case t.current.fail != nil:
		t.current.fail(ctx)
	}
}

// finish reads the result of a done try, and reports whether the try succeeded.
func (t *task) finish(ctx workflow.Context) bool {
	err := t.future.Get(ctx, t.current.output)
	t.future, t.err = nil, err
	if err == nil {
		t.reset()
		return true
	}
	t.failures++
	t.retryAt = workflow.Now(ctx)
	if t.failures > 1 {
		t.retryAt = t.retryAt.Add(min(longestPause, firstPause<<min(t.failures-2, 10)))
	}
	workflow.GetLogger(ctx).Warn("an activity of a queue failed and will be repeated", "error", err, "failures", t.failures)
	return false
}

// reset clears the failures, after a success or when the task is given up.
func (t *task) reset() { t.failures, t.err, t.retryAt = 0, nil, time.Time{} }

// trouble describes a task that has failed several times; empty otherwise.
func (t *task) trouble() string {
	if t.failures < problemAfter || t.err == nil {
		return ""
	}
	return t.problem + ": " + cause(t.err)
}

// refused reports whether the last try failed because of its arguments, so that repeating it alone does not help.
func (t *task) refused() bool {
	application, ok := errors.AsType[*temporal.ApplicationError](t.err)
	return ok && application.Type() != string(attune.CodeUnavailable) && application.Type() != string(attune.CodeExhausted)
}

// maxProblem bounds the text of a problem, in bytes, because it is part of the workflow's memo.
const maxProblem = 300

// cause returns the message of a failed activity without Temporal's prefixes.
func cause(err error) string {
	text := err.Error()
	if application, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		text = application.Message()
	}
	return attune.Shorten(text, maxProblem)
}
