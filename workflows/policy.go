package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// setPolicy puts a policy into force. If lanes begin to pass each other with it, the queue adopts it only after its decisions so far are
// durable, in a later workflow task. Grants of those decisions may have been delivered by a local activity. If the task is lost, the
// repeated one decides again; with the new policy it could grant another ticket than before, and both would run.
func (q *actionQueue) setPolicy(ctx workflow.Context, now time.Time, policy attune.QueuePolicy) {
	inForce := q.state.Policy()
	if policy.Across != attune.AcrossSkip || inForce.Across == attune.AcrossSkip || policy.Revision <= inForce.Revision {
		q.state.SetPolicy(now, policy)
		return
	}
	if q.awaited == nil || policy.Revision > q.awaited.Revision {
		q.awaited = &policy
	}
	if q.durable == nil {
		q.durable = workflow.NewTimerWithOptions(ctx, shortestTimer, workflow.TimerOptions{Summary: "adopt a policy"})
	}
}

// policyDue reports whether the decisions so far are durable, and a policy waits for that.
func (q *actionQueue) policyDue() bool { return q.durable != nil && q.durable.IsReady() }

// adoptPolicy puts the awaited policy into force. The state ignores the policy if a newer one is in force meanwhile.
func (q *actionQueue) adoptPolicy(now time.Time) {
	if q.awaited != nil {
		q.state.SetPolicy(now, *q.awaited)
	}
	q.awaited, q.durable = nil, nil
}
