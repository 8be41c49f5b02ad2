package doctor

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// Installation checks that the database and the namespace of Temporal belong to the same installation.
func Installation(database, namespace func(context.Context) (attune.InstallationID, error)) Check {
	return Check{Name: "installation", Run: func(ctx context.Context) ([]Finding, error) {
		id, err := database(ctx)
		if err != nil {
			return nil, err
		}
		owner, err := namespace(ctx)
		if err != nil {
			return nil, err
		}
		if owner == id {
			return []Finding{{Severity: OK, What: fmt.Sprintf("Database and namespace belong to installation %s.", id)}}, nil
		}
		what := fmt.Sprintf("The namespace of Temporal belongs to installation %s, and the database is installation %s.", owner, id)
		if owner == "" {
			what = fmt.Sprintf("No installation has claimed the namespace of Temporal; the database is installation %s.", id)
		}
		return []Finding{{
			Severity: Problem, What: what,
			Do: "Give each installation a namespace of its own (TEMPORAL_NAMESPACE). If the database was replaced, stop every process of " +
				"attune and start them again: the namespace is then taken over, and queues are rebuilt from the database.",
		}}, nil
	}}
}

// owner is the installation that has claimed the namespace.
func (t TemporalServer) owner(ctx context.Context) (attune.InstallationID, error) {
	return workflows.Owner(ctx, t.Client, t.Namespace)
}

// QueueProblem is what a queue cannot get done.
type QueueProblem struct {
	Workflow string // the id of the queue's workflow
	Problem  string
}

// QueueProblems checks that every queue gets done what it has decided.
func QueueProblems(read func(context.Context) ([]QueueProblem, error)) Check {
	return Check{Name: "queue problems", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx)
		return listed(found, "Every queue gets done what it has decided.", func(q QueueProblem) Finding {
			return Finding{
				Severity: Problem, Where: "workflow " + q.Workflow, What: "The queue tries again and again: " + q.Problem + ".",
				Do: "Mend what the message names. The queue tries at least once a minute, and the finding goes when a try succeeds.",
			}
		}), err
	}}
}

// queuePage is how many workflows one call lists.
const queuePage = 500

// problems reads the memos of all queues that run.
func (t TemporalServer) problems(ctx context.Context) ([]QueueProblem, error) {
	var problems []QueueProblem
	request := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: t.Namespace, PageSize: queuePage,
		Query: fmt.Sprintf("ExecutionStatus = 'Running' AND WorkflowType = '%s'", workflows.ActionQueueWorkflowName),
	}
	for {
		page, err := t.Client.ListWorkflow(ctx, request)
		if err != nil {
			return nil, fmt.Errorf("list the workflows of queues: %w", workflows.Translate(err))
		}
		for _, execution := range page.GetExecutions() {
			var memo workflows.QueueMemo
			payload := execution.GetMemo().GetFields()[workflows.MemoQueue]
			if payload == nil || converter.GetDefaultDataConverter().FromPayload(payload, &memo) != nil {
				continue // the queue has just started, and has said nothing yet
			}
			if memo.Problem != "" {
				problems = append(problems, QueueProblem{Workflow: execution.GetExecution().GetWorkflowId(), Problem: memo.Problem})
			}
		}
		if request.NextPageToken = page.GetNextPageToken(); len(request.NextPageToken) == 0 {
			return problems, nil
		}
	}
}
