package doctor

import (
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// Installation checks that the database and the namespace of Temporal belong to the same installation, and that the database was
// not restored to an earlier time. The check reads the database last, because its watermark rises first.
func Installation(database, namespace func(context.Context) (attune.Installation, error)) Check {
	return Check{Name: "installation", Run: func(ctx context.Context) ([]Finding, error) {
		remembered, err := namespace(ctx)
		if err != nil {
			return nil, err
		}
		current, err := database(ctx)
		if err != nil {
			return nil, err
		}
		owner, id := remembered.ID, current.ID
		if owner == id && current.Watermark < remembered.Watermark {
			return []Finding{{
				Severity: Problem,
				What: fmt.Sprintf("The database was restored to an earlier time: its watermark is %d, after %d.",
					current.Watermark, remembered.Watermark),
				Do: "Restart the processes with the roles api, orchestrator and bridge together. The database becomes a new " +
					"installation, and the queues are rebuilt from it.",
			}}, nil
		}
		if owner == id {
			return []Finding{{Severity: OK, What: fmt.Sprintf("Database and namespace belong to installation %s.", id)}}, nil
		}
		what := fmt.Sprintf("The namespace of Temporal belongs to installation %s, but the database to installation %s.", owner, id)
		if owner == "" {
			what = fmt.Sprintf("No installation owns the namespace of Temporal; the database belongs to installation %s.", id)
		}
		return []Finding{{
			Severity: Problem, What: what,
			Do: "Give each installation its own namespace (TEMPORAL_NAMESPACE). If the database was replaced, restart all processes of " +
				"attune together: the new installation takes over the namespace and rebuilds the queues from the database.",
		}}, nil
	}}
}

// owner returns the installation that owns the namespace, with the watermark that Temporal remembers; empty if none does.
func (t TemporalServer) owner(ctx context.Context) (attune.Installation, error) {
	return workflows.Owner(ctx, t.Client, t.Namespace)
}

// QueueProblem is an operation that a queue cannot complete.
type QueueProblem struct {
	Workflow string // the id of the queue's workflow
	Problem  string // which operation fails, and why
}

// QueueProblems checks that every queue completes what it has decided: its deliveries and its recordings.
func QueueProblems(read func(context.Context) ([]QueueProblem, error)) Check {
	return Check{Name: "queue problems", Run: func(ctx context.Context) ([]Finding, error) {
		found, err := read(ctx)
		return listed(found, "Every queue completes what it has decided.", func(q QueueProblem) Finding {
			return Finding{
				Severity: Problem, Where: "workflow " + q.Workflow,
				What: "The queue cannot complete an operation and retries it: " + q.Problem + ".",
				Do:   "Fix the cause. The queue retries at least once a minute; the finding ends when a retry succeeds.",
			}
		}), err
	}}
}

// queuePage is how many workflows one call lists.
const queuePage = 500

// problems reads the problems from the memos of all running queues.
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
				continue // the queue has just started and has no memo yet
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
