package workflows

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune"
)

const (
	// pollerTimeout is when a process without a poll counts as stopped. A running process polls at least every 70 seconds.
	pollerTimeout = 75 * time.Second
	// takeoverPause is the pause between two checks of another installation's pollers.
	takeoverPause = 2 * time.Second
	// endsInParallel bounds the parallel terminations of the workflows of another installation.
	endsInParallel = 32
)

// InstallationStore is the database of an installation.
type InstallationStore interface {
	Installation(ctx context.Context) (attune.Installation, error)
	// RenewInstallation makes the database a new installation with the watermark 0, unless that has been done.
	RenewInstallation(ctx context.Context, old attune.InstallationID) (attune.Installation, error)
	// Exclusively calls do while no other process of the database is in it.
	Exclusively(ctx context.Context, do func(context.Context) error) error
}

// TakeNamespace makes the installation of a database the owner of a namespace, and returns its id.
//
// If the namespace belongs to another installation, TakeNamespace waits until that installation took the namespace, and its
// processes polled for the last time, 75 s ago. A poll during the wait means that the installation runs: the error is
// [attune.CodeConflict]. Otherwise TakeNamespace terminates the workflows of the other installation, because they would confuse
// new enforcements with old ones, and takes the namespace over. Queues are then rebuilt from the rows.
//
// A used database without its namespace was restored, or was moved to another Temporal. Its ids mean other enforcements than those
// that RabbitMQ, the workers or the namespace may know. So it becomes a new installation. The database is used if its watermark is
// above 0. It was restored if Temporal remembers a higher watermark.
func TakeNamespace(
	ctx context.Context, c client.Client, namespace string, store InstallationStore, log *slog.Logger,
) (attune.InstallationID, error) {
	t := &takeover{client: c, namespace: namespace, store: store, log: log}
	if owns, _, err := t.compare(ctx); owns || err != nil {
		return t.current.ID, err
	}
	err := store.Exclusively(ctx, t.take)
	return t.current.ID, err
}

// takeover takes a namespace for an installation.
type takeover struct {
	client    client.Client
	namespace string
	store     InstallationStore
	log       *slog.Logger

	current attune.Installation // of the database, as last read
}

// compare reports whether the installation of the database owns the namespace, and returns the owner. It reads the database last,
// because its watermark rises first.
func (t *takeover) compare(ctx context.Context) (owns bool, found owner, err error) {
	if found, err = readOwner(ctx, t.client, t.namespace); err != nil {
		return false, found, err
	}
	t.current, err = t.store.Installation(ctx)
	return found.ID == t.current.ID && found.Watermark <= t.current.Watermark, found, err
}

// take takes the namespace, unless another process of the database has done so. A repeated call after a crash completes the takeover.
func (t *takeover) take(ctx context.Context) error {
	owns, found, err := t.compare(ctx)
	if owns || err != nil {
		return err
	}
	if found.ID != "" {
		if err := t.waitForSilence(ctx, found); err != nil {
			return err
		}
	}
	if t.current.Watermark > 0 || found.ID == t.current.ID {
		t.log.WarnContext(ctx, "the database was restored or has lost its namespace: it becomes a new installation",
			"installation", t.current.ID, "watermark", t.current.Watermark, "owner", found.ID, "remembered", found.Watermark)
		if t.current, err = t.store.RenewInstallation(ctx, t.current.ID); err != nil {
			return err
		}
	}
	if found.ID != "" {
		t.log.WarnContext(ctx, "took the namespace over from another installation without running processes",
			"namespace", t.namespace, "installation", found.ID)
		if err := t.endAll(ctx); err != nil {
			return err
		}
	}
	return t.start(ctx)
}

func (t *takeover) start(ctx context.Context) error {
	options, input := startInstallation(t.current)
	if _, err := t.client.ExecuteWorkflow(ctx, options, InstallationWorkflowName, input); err != nil {
		return fmt.Errorf("take namespace %q: %w", t.namespace, Translate(err))
	}
	owns, found, err := t.compare(ctx)
	if err == nil && !owns {
		err = t.conflict(found.ID)
	}
	return err
}

func (t *takeover) conflict(owner attune.InstallationID) error {
	return attune.Errorf(attune.CodeConflict, "namespace %q belongs to another installation of attune (%s), and its processes "+
		"are running: use another namespace for this installation (TEMPORAL_NAMESPACE), or stop those processes first", t.namespace, owner)
}

// waitForSilence waits until the other installation counts as stopped. An installation polls only after it has taken the namespace,
// so a recent take counts as a sign of life.
func (t *takeover) waitForSilence(ctx context.Context, other owner) error {
	since := time.Now()
	tick := time.NewTicker(takeoverPause)
	defer tick.Stop()
	for {
		last, err := t.lastPoll(ctx, other.ID)
		if err != nil {
			return err
		}
		if last.After(since) {
			return t.conflict(other.ID)
		}
		if time.Since(last) > pollerTimeout && time.Since(other.since) > pollerTimeout {
			return nil
		}
		t.log.InfoContext(ctx, "the namespace belongs to another installation: waiting for a sign that it is running",
			"namespace", t.namespace, "installation", other.ID, "last_poll", last)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return attune.WrapError(attune.CodeUnavailable, ctx.Err(), "namespace %q belongs to installation %s", t.namespace, other.ID)
		}
	}
}

// lastPoll returns the time of the latest poll by a process of an installation; zero without one in the last minutes.
func (t *takeover) lastPoll(ctx context.Context, owner attune.InstallationID) (last time.Time, err error) {
	for _, kind := range []enumspb.TaskQueueType{enumspb.TASK_QUEUE_TYPE_WORKFLOW, enumspb.TASK_QUEUE_TYPE_ACTIVITY} {
		for _, queue := range []string{QueueTaskQueue, EnforcementTaskQueue} {
			description, err := t.client.DescribeTaskQueue(ctx, queue, kind)
			if err != nil {
				return last, fmt.Errorf("list the pollers of task queue %q: %w", queue, Translate(err))
			}
			for _, poller := range description.GetPollers() {
				at := poller.GetLastAccessTime().AsTime()
				if strings.HasPrefix(poller.GetIdentity(), identityPrefix+string(owner)+"/") && at.After(last) {
					last = at
				}
			}
		}
	}
	return last, nil
}

// leftoversQuery finds attune's running workflows of a type in a namespace.
const leftoversQuery = "ExecutionStatus = 'Running' AND WorkflowType = '%s'"

// endAll terminates every workflow of attune in the namespace. Unlike a cancel, that needs no temporal worker. The workflow that
// shows the owner ends last: a process that stops in between leaves the takeover to the next one.
func (t *takeover) endAll(ctx context.Context) error {
	for _, kind := range []string{ActionQueueWorkflowName, EnforcementWorkflowName, InstallationWorkflowName} {
		for {
			found, err := t.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
				Namespace: t.namespace, Query: fmt.Sprintf(leftoversQuery, kind), PageSize: 500,
			})
			if err != nil {
				return fmt.Errorf("list the workflows of namespace %q: %w", t.namespace, Translate(err))
			}
			ended, err := t.end(ctx, found.GetExecutions())
			if err != nil {
				return err
			}
			if ended == 0 { // the list is eventually consistent: it can still contain terminated workflows
				break
			}
		}
	}
	return nil
}

// end terminates workflows, and returns how many of them ran.
func (t *takeover) end(ctx context.Context, executions []*workflowpb.WorkflowExecutionInfo) (int64, error) {
	var ended atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(endsInParallel)
	for _, execution := range executions {
		group.Go(func() error {
			id := execution.GetExecution()
			err := t.client.TerminateWorkflow(ctx, id.GetWorkflowId(), id.GetRunId(), "another installation has taken the namespace over")
			if _, gone := errors.AsType[*serviceerror.NotFound](err); gone {
				return nil
			}
			if err != nil {
				return fmt.Errorf("end workflow %q: %w", id.GetWorkflowId(), Translate(err))
			}
			ended.Add(1)
			return nil
		})
	}
	err := group.Wait()
	return ended.Load(), err
}
