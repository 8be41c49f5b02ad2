package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// How long something may last before it is a finding. Grants and ends take far less than a second, unless a service is away
// or busy.
const (
	StalledAfter = time.Minute     // a slot is free and a ticket waits, but the queue grants nothing
	LeakedAfter  = time.Minute     // a slot is held without an execution that can give it back
	overdueAfter = 2 * time.Minute // beyond the timeout of an execution: its worker also needs time to end and report it
	untakenAfter = 5 * time.Minute // an execution is requested, and no worker takes the request
)

// Stalls checks that every queue with a free slot and a waiting ticket grants. read gets the least time without any progress.
func Stalls(read func(context.Context, time.Duration) ([]attune.Stall, error)) Check {
	return Check{Name: "stalled queues", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, StalledAfter)
		return listed(found, "Every queue with somebody waiting and a slot free grants.", func(s attune.Stall) Finding {
			last := "it has never granted anything"
			if s.LastGrantAt != nil {
				last = "its last grant was at " + clock(*s.LastGrantAt)
			}
			return Finding{
				Severity: Problem, Where: "queue " + string(s.Queue),
				What: fmt.Sprintf("%d wait, %d of %d slots are held, and nobody is granted: the first waits since %s, %s.",
					s.Waiting, s.Active, s.Limit, clock(s.OldestWaiting), last),
				Do: "See that the task queues are polled. Then look at the workflow queue/" + string(s.Queue) + " in Temporal: " +
					"if its workflow tasks fail, deploy the version that it ran with. Otherwise terminate it, and pause and " +
					"resume the queue: it starts again from its rows.",
			}
		}), err
	}}
}

// Leaks checks that every held slot has an execution that can give it back. read gets the least age of the grant.
func Leaks(read func(context.Context, time.Duration) ([]attune.Leak, error)) Check {
	return Check{Name: "leaked slots", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, LeakedAfter)
		return listed(found, "Every slot that is held has an execution that will give it back.", sayLeak), err
	}}
}

func sayLeak(l attune.Leak) Finding {
	finding := Finding{Severity: Problem, Where: fmt.Sprintf("queue %s, enforcement %d", l.Queue, l.Enforcement)}
	if l.Status == attune.ExecutionRetrying {
		finding.What = fmt.Sprintf("It keeps its slot for the next attempt of execution %d, which is overdue.", l.Execution)
		finding.Do = fmt.Sprintf("See that the task queues are polled. Then terminate the workflow queue/%s in Temporal, and pause and "+
			"resume the queue: it starts again from its rows. Or give it up: POST /api/v1/executions/%d/cancel.", l.Queue, l.Execution)
		return finding
	}
	what := "has no execution"
	if l.Execution != 0 {
		what = fmt.Sprintf("has the execution %d, which is %s", l.Execution, l.Status)
	}
	finding.What = fmt.Sprintf("It holds a slot since %s and %s: nothing will give the slot back.", clock(l.GrantedAt), what)
	finding.Do = "Free it as docs/operations.md says under \"slots leaked\". attune never leaves a row like this by itself: " +
		"find out who changed the database."
	return finding
}

// Holders checks that executions end in time. read gets how long they may run beyond their timeout, and how long they may
// wait for a worker.
func Holders(read func(ctx context.Context, grace, untaken time.Duration) ([]attune.Overdue, error)) Check {
	return Check{Name: "holders", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx, overdueAfter, untakenAfter)
		return listed(found, "No execution runs much longer than its timeout, and none waits long for a worker.", sayOverdue), err
	}}
}

func sayOverdue(o attune.Overdue) Finding {
	finding := Finding{Where: fmt.Sprintf("queue %s, execution %d", o.Queue, o.Execution)}
	cancel := fmt.Sprintf("POST /api/v1/executions/%d/cancel", o.Execution)
	since := fmt.Sprintf("It has run on %q since %s with a timeout of %s", o.Worker, clock(o.Since), o.Timeout)
	switch {
	case o.Status == attune.ExecutionRequested:
		finding.Severity = Warning
		finding.What = fmt.Sprintf("It was requested at %s, and no worker of the pool %q has taken it.", clock(o.Since), o.Pool)
		finding.Do = fmt.Sprintf("See that workers of the pool %q run and have slots free, or cancel it: %s.", o.Pool, cancel)
	case o.CancelRequested:
		finding.Severity = Problem
		finding.What = since + ", and was asked to stop in vain."
		finding.Do = "Restart the worker: what it runs is given up when its lease ends."
	default:
		finding.Severity = Problem
		finding.What = since + ", and its worker, which should have ended it, goes on renewing its lease."
		finding.Do = "Cancel it: " + cancel + ". If that does not help, restart the worker: what it runs is given up when its lease ends."
	}
	return finding
}

// Control notes what people have set by hand: what they forgot looks like a fault.
func Control(read func(context.Context) ([]attune.ManualOverride, error)) Check {
	return Check{Name: "control", Run: func(ctx context.Context) ([]Finding, error) {
		queues, err := read(ctx)
		var found []Finding
		for _, q := range queues {
			found = append(found, sayOverride(q)...)
		}
		return listed(found, "Every queue is open and has the limit of its policy.", func(f Finding) Finding { return f }), err
	}}
}

func sayOverride(q attune.ManualOverride) []Finding {
	var found []Finding
	where := "queue " + string(q.Queue)
	if q.Mode != attune.QueueOpen {
		found = append(found, Finding{
			Severity: Note, Where: where, What: fmt.Sprintf("It is %s%s.", q.Mode, saidBy(q.ModeBy)),
			Do: fmt.Sprintf("POST /api/v1/queues/%s/resume opens it.", q.Queue),
		})
	}
	if q.Override != nil {
		until := "until somebody clears it"
		if !q.Override.Until.IsZero() {
			until = "until " + clock(q.Override.Until)
		}
		found = append(found, Finding{
			Severity: Note, Where: where, What: fmt.Sprintf("Its limit is %d by hand %s%s.", q.Override.Limit, until, saidBy(q.LimitBy)),
			Do: fmt.Sprintf("POST /api/v1/queues/%s/limit/clear gives it back to the policy.", q.Queue),
		})
	}
	return found
}

// saidBy says who made a change, when and why.
func saidBy(c *attune.QueueChange) string {
	if c == nil {
		return ""
	}
	text := fmt.Sprintf(", by %s at %s", c.Who(), clock(c.At))
	if c.Note != "" {
		text += fmt.Sprintf(" (%s)", c.Note)
	}
	return text
}

// ParkedOnes notes the enforcements that wait for a person to retry them or to give them up.
func ParkedOnes(read func(context.Context) ([]attune.ParkedCount, error)) Check {
	return Check{Name: "parked", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx)
		return listed(found, "Nobody waits for a person.", func(p attune.ParkedCount) Finding {
			return Finding{
				Severity: Note, Where: "queue " + string(p.Queue),
				What: fmt.Sprintf("%d enforcements are parked: their attempts have failed, and they wait for a person. The first is %d.",
					p.Count, p.Oldest),
				Do: fmt.Sprintf("POST /api/v1/enforcements/%d/retry puts it in line again, …/cancel gives it up.", p.Oldest),
			}
		}), err
	}}
}

func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
