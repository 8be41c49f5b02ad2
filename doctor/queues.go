package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// How long a condition must last to be a finding. Grants and reports take far less than a second unless a service is away or
// busy.
const (
	StalledAfter    = time.Minute     // a slot is free and a ticket waits, but the queue grants nothing
	LeakedAfter     = time.Minute     // a slot is held without an execution that can give it back
	unadmittedAfter = time.Minute     // an enforcement is recorded and its message published, but it is not in its queue
	overdueAfter    = 2 * time.Minute // an execution runs this much longer than its timeout; its worker needs time to stop and report it
	unclaimedAfter  = 5 * time.Minute // an execution is requested, and no worker claims it
)

// Admission checks that recorded enforcements reach their queues. read gets the least age of an enforcement.
func Admission(read func(context.Context, time.Duration) ([]attune.Unadmitted, error)) Check {
	return Check{Name: "admission", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, unadmittedAfter)
		return listed(found, "Every recorded enforcement reaches its queue.", func(u attune.Unadmitted) Finding {
			return Finding{
				Severity: Problem, Where: "queue " + string(u.Queue),
				What: fmt.Sprintf("%d enforcements are recorded, their messages are published, and they have not reached the queue. "+
					"The oldest is %d, of %s.", u.Count, u.Oldest, attune.FormatTime(u.Since)),
				Do: "Check that a process with the role bridge runs and reports no errors, and that there are no dead letters. If the " +
					"finding stays, publish the messages again as docs/operations.md says under \"enforcements not admitted\".",
			}
		}), err
	}}
}

// Stalls checks that every queue with a free slot and a waiting ticket grants. read gets the least time without progress.
func Stalls(read func(context.Context, time.Duration) ([]attune.Stall, error)) Check {
	return Check{Name: "stalled queues", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, StalledAfter)
		return listed(found, "Every queue with a waiting ticket and a free slot grants.", func(s attune.Stall) Finding {
			last := "it has never granted anything"
			if s.LastGrantAt != nil {
				last = "its last grant was at " + attune.FormatTime(*s.LastGrantAt)
			}
			return Finding{
				Severity: Problem, Where: "queue " + string(s.Queue),
				What: fmt.Sprintf("%s, %d of %d slots are held, and the queue grants none: the first has waited since %s, %s.",
					counted(s.Waiting, "ticket waits", "tickets wait"), s.Active, s.Limit, attune.FormatTime(s.OldestWaiting), last),
				Do: "Check that the task queues are polled. Then open the workflow queue/" + string(s.Queue) + " in Temporal. " +
					"If its workflow tasks fail, deploy the version that it ran with. Otherwise terminate it, then pause and " +
					"resume the queue: it starts again from its rows.",
			}
		}), err
	}}
}

// Leaks checks that every held slot has an execution that can give it back. read gets the least age of the grant.
func Leaks(read func(context.Context, time.Duration) ([]attune.Leak, error)) Check {
	return Check{Name: "leaked slots", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, LeakedAfter)
		return listed(found, "Every held slot has an execution that will give it back.", leakFinding), err
	}}
}

func leakFinding(l attune.Leak) Finding {
	finding := Finding{Severity: Problem, Where: fmt.Sprintf("queue %s, enforcement %d", l.Queue, l.Enforcement)}
	if l.Status == attune.ExecutionRetrying {
		finding.What = fmt.Sprintf("It keeps its slot for the next attempt of execution %d, and that attempt is overdue.", l.Execution)
		finding.Do = fmt.Sprintf("Check that the task queues are polled. Then terminate the workflow queue/%s in Temporal, and pause and "+
			"resume the queue: it starts again from its rows. Or cancel the execution: POST /api/v1/executions/%d/cancel.",
			l.Queue, l.Execution)
		return finding
	}
	what := "no execution"
	if l.Execution != 0 {
		what = fmt.Sprintf("execution %d, which is %s", l.Execution, l.Status)
	}
	finding.What = fmt.Sprintf("It has held a slot since %s with %s: no report will give the slot back.",
		attune.FormatTime(l.GrantedAt), what)
	finding.Do = "Free the slot as docs/operations.md says under \"slots leaked\". attune itself never leaves such a row: " +
		"find out who changed the database."
	return finding
}

// Holders checks that executions end in time. read gets how long an execution may run beyond its timeout (grace), and how long
// it may wait for a worker (unclaimed).
func Holders(read func(ctx context.Context, grace, unclaimed time.Duration) ([]attune.Overdue, error)) Check {
	return Check{Name: "holders", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, overdueAfter, unclaimedAfter)
		return listed(found, "No execution runs much longer than its timeout, and none waits long for a worker.", overdueFinding), err
	}}
}

func overdueFinding(o attune.Overdue) Finding {
	finding := Finding{Where: fmt.Sprintf("queue %s, execution %d", o.Queue, o.Execution)}
	cancel := fmt.Sprintf("POST /api/v1/executions/%d/cancel", o.Execution)
	running := fmt.Sprintf("It has run on %q since %s with a timeout of %s", o.Worker, attune.FormatTime(o.Since), o.Timeout)
	switch {
	case o.Status == attune.ExecutionRequested:
		finding.Severity = Warning
		finding.What = fmt.Sprintf("It was requested at %s, and no worker of the pool %q has claimed it.",
			attune.FormatTime(o.Since), o.Pool)
		finding.Do = fmt.Sprintf("Check that workers of the pool %q run and have free slots, or cancel the execution: %s.", o.Pool, cancel)
	case o.CancelRequested:
		finding.Severity = Problem
		finding.What = running + ". Its worker was asked to stop it, and has not reported an end."
		finding.Do = "Restart the worker: its attempts are given up when their leases end."
	default:
		finding.Severity = Problem
		finding.What = running + ". Its worker should have stopped it, but still renews its lease."
		finding.Do = "Cancel the execution: " + cancel +
			". If it goes on, restart the worker: its attempts are given up when their leases end."
	}
	return finding
}

// ManualOverrides notes the modes and limits that people have set: a forgotten manual limit looks like a fault.
func ManualOverrides(read func(context.Context) ([]attune.ManualOverride, error)) Check {
	return Check{Name: "control", Run: func(ctx context.Context) ([]Finding, error) {
		queues, err := read(ctx)
		var found []Finding
		for _, q := range queues {
			found = append(found, overrideFindings(q)...)
		}
		return listed(found, "Every queue is open and has the limit of its policy.", func(f Finding) Finding { return f }), err
	}}
}

func overrideFindings(q attune.ManualOverride) []Finding {
	var found []Finding
	where := "queue " + string(q.Queue)
	if q.Mode != attune.QueueOpen {
		found = append(found, Finding{
			Severity: Note, Where: where, What: fmt.Sprintf("It is %s%s.", q.Mode, changedBy(q.ModeBy)),
			Do: fmt.Sprintf("To open it, POST /api/v1/queues/%s/resume.", q.Queue),
		})
	}
	if q.Override != nil {
		until := "until it is cleared"
		if !q.Override.Until.IsZero() {
			until = "until " + attune.FormatTime(q.Override.Until)
		}
		found = append(found, Finding{
			Severity: Note, Where: where,
			What: fmt.Sprintf("Its manual limit is %d %s%s.", q.Override.Limit, until, changedBy(q.LimitBy)),
			Do:   fmt.Sprintf("To use the limit of the policy, POST /api/v1/queues/%s/limit/clear.", q.Queue),
		})
	}
	return found
}

// changedBy names the author, the time and the note of a change.
func changedBy(c *attune.QueueChange) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf(", by %s at %s", c.Who(), attune.FormatTime(c.At))
	if c.Note != "" {
		text += fmt.Sprintf(" (%s)", c.Note)
	}
	return text
}

// Parked notes the parked enforcements: a person must retry or cancel them.
func Parked(read func(context.Context) ([]attune.ParkedCount, error)) Check {
	return Check{Name: "parked", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx)
		return listed(found, "No enforcement is parked.", func(p attune.ParkedCount) Finding {
			what := fmt.Sprintf("Enforcement %d is parked: its last attempt failed, and it waits for a person.", p.Oldest)
			if p.Count > 1 {
				what = fmt.Sprintf("%d enforcements are parked: their last attempts failed, and they wait for a person. The oldest is %d.",
					p.Count, p.Oldest)
			}
			return Finding{
				Severity: Note, Where: "queue " + string(p.Queue), What: what,
				Do: fmt.Sprintf("To put it in line again, POST /api/v1/enforcements/%d/retry; to give it up, …/cancel.", p.Oldest),
			}
		}), err
	}}
}

// DisabledRules notes the rules that people have disabled: a forgotten one looks like a fault.
func DisabledRules(read func(context.Context) ([]attune.DisabledRule, error)) Check {
	return Check{Name: "rules", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx)
		return listed(found, "No rule is disabled by a person.", func(r attune.DisabledRule) Finding {
			what := fmt.Sprintf("It is disabled by %s since %s", r.Change.Who(), attune.FormatTime(r.Change.At))
			if r.Change.Note != "" {
				what += fmt.Sprintf(" (%s)", r.Change.Note)
			}
			return Finding{
				Severity: Note, Where: "rule " + string(r.Rule), What: what + ".",
				Do: fmt.Sprintf("To enable it, POST /api/v1/rules/%s/enable.", r.Rule),
			}
		}), err
	}}
}

// counted returns a number with its noun and verb: "1 ticket waits", "2 tickets wait".
func counted[T int | int64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
