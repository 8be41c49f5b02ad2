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

// Quiet waits until only queues and workflows of the excepted types run, so that leftovers of one measurement do not slow the
// next one. It fails when the number of running workflows stays the same for three minutes.
func Quiet(ctx context.Context, c client.Client, except ...string) error {
	query := runningBut(append(except, workflows.ActionQueueWorkflowName))
	tick := time.NewTicker(quietInterval)
	defer tick.Stop()
	last, changedAt := int64(-1), time.Now()
	for {
		running, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
		switch n := running.GetCount(); {
		case err == nil && n == 0:
			return nil
		case err == nil && n != last:
			last, changedAt = n, time.Now()
		case time.Since(changedAt) > stallTimeout:
			return errors.Join(fmt.Errorf("no progress for %s: %d workflows still run", stallTimeout, last), err)
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

// UntilAnswered repeats a call while Temporal does not reply in time, which happens on a busy machine. It returns any other
// error at once, and gives up after three minutes or when ctx ends.
func UntilAnswered(ctx context.Context, call func(context.Context) error) error {
	for begun := time.Now(); ; {
		err := call(ctx)
		if ctx.Err() != nil || !unanswered(err) || time.Since(begun) > stallTimeout {
			return err
		}
	}
}

func unanswered(err error) bool {
	_, late := errors.AsType[*serviceerror.DeadlineExceeded](err)
	_, unavailable := errors.AsType[*serviceerror.Unavailable](err)
	return late || unavailable || errors.Is(err, context.DeadlineExceeded)
}
