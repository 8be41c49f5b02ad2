package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

const (
	// taskTime bounds one try of a task, with the retries of its activity. A try that fails counts, and the queue shows it.
	taskTime = time.Minute
	// firstPause and longestPause bound the time between two tries of a task that fails: it doubles from one to the other.
	firstPause   = time.Second
	longestPause = time.Minute
	// problemAfter is how many tries of a task fail before the queue shows a problem.
	problemAfter = 3
)

// task is one kind of activity of a queue, under way at most once at a time. The first try may be a local activity; what
// fails is tried by a regular activity at once, and then with growing pauses, for as long as the state wants it done.
type task struct {
	future   workflow.Future
	failures int       // tries that have failed since the last success
	err      error     // of the last try, if it has failed
	retryAt  time.Time // not to be tried before

	// What the try under way is about.
	grants  []attune.Grant
	settled int
	logged  int
	gap     semaphore.Gap
	tickets []attune.Ticket
}

func (t *task) running() bool { return t.future != nil }
func (t *task) done() bool    { return t.future != nil && t.future.IsReady() }

// idle reports whether a try may begin now.
func (t *task) idle(now time.Time) bool { return t.future == nil && !now.Before(t.retryAt) }

func (t *task) start(ctx workflow.Context, quick bool, summary, activity string, input any) {
	if quick && t.failures == 0 {
		t.future = workflow.ExecuteLocalActivity(quickly(ctx, summary), activity, input)
		return
	}
	t.future = workflow.ExecuteActivity(patiently(ctx, summary, taskTime), activity, input)
}

// finish reports whether the try that is done has succeeded, and puts its result into output.
func (t *task) finish(ctx workflow.Context, output any) bool {
	err := t.future.Get(ctx, output)
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
	workflow.GetLogger(ctx).Warn("activity of a queue failed, it is tried again", "error", err, "failures", t.failures)
	return false
}

// reset forgets failures: the last try has succeeded, or the state wants nothing of the kind any more.
func (t *task) reset() { t.failures, t.err, t.retryAt = 0, nil, time.Time{} }

// problem is why the task does not get done, once it has failed several times; empty otherwise.
func (t *task) problem() string {
	if t.failures < problemAfter || t.err == nil {
		return ""
	}
	return cause(t.err)
}

// refused reports whether the last try failed for what it was about. Every other failure passes with time.
func (t *task) refused() bool {
	application, ok := errors.AsType[*temporal.ApplicationError](t.err)
	return ok && application.Type() != string(attune.CodeUnavailable) && application.Type() != string(attune.CodeExhausted)
}

// maxProblem bounds the text of a problem, in bytes: it is part of the workflow's memo.
const maxProblem = 300

// cause is what an activity said that failed, without the engine's words around it.
func cause(err error) string {
	text := err.Error()
	if application, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		text = application.Message()
	}
	if len(text) > maxProblem {
		text = text[:maxProblem] + "…"
	}
	return text
}
