package baseline

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/attune-go/attune/workflows"
)

const quietInterval = 50 * time.Millisecond

// Quiet waits until no workflow runs but queues and those of the types given, so that what one measurement has left behind does
// not slow the next one. It fails when the number of running workflows stands still for three minutes.
func Quiet(ctx context.Context, c client.Client, except ...string) error {
	query := runningBut(append(except, workflows.ActionQueueWorkflowName))
	tick := time.NewTicker(quietInterval)
	defer tick.Stop()
	last, moved := int64(-1), time.Now()
	for {
		running, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		switch n := running.GetCount(); {
		case err == nil && n == 0:
			return nil
		case err == nil && n != last:
			last, moved = n, time.Now()
		case time.Since(moved) > patience:
			return errors.Join(fmt.Errorf("for %s, %d workflows have not ended", patience, last), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func runningBut(types []string) string {
	var query strings.Builder
	query.WriteString("ExecutionStatus = 'Running'")
	for _, name := range types {
		fmt.Fprintf(&query, " AND WorkflowType != '%s'", name)
	}
	return query.String()
}

// UntilAnswered repeats a call as long as Temporal does not answer it in time, as on a machine that is busy with other work. It
// returns every other error at once, and gives up after three minutes or when ctx ends.
func UntilAnswered(ctx context.Context, call func(context.Context) error) error {
	for begun := time.Now(); ; {
		err := call(ctx)
		if ctx.Err() != nil || !unanswered(err) || time.Since(begun) > patience {
			return err
		}
	}
}

func unanswered(err error) bool {
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	_, away := errors.AsType[*serviceerror.Unavailable](err)
	return late || away || errors.Is(err, context.DeadlineExceeded)
}
