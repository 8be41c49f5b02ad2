package workflows

import (
	"fmt"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
)

// registerUpdates registers the updates for manual changes.
func (q *actionQueue) registerUpdates(ctx workflow.Context) error {
	for _, m := range []struct {
		name, description string
		mode              attune.QueueMode
	}{
		{UpdatePause, "Grant no tickets until the queue is resumed. The queue still accepts tickets.", attune.QueuePaused},
		{UpdateResume, "Accept tickets and grant them.", attune.QueueOpen},
		{UpdateDrain, "Grant the waiting tickets and reject new ones until the queue is resumed.", attune.QueueDraining},
	} {
		if err := handleOne(ctx, q, m.name, m.description, func(in ChangeInput) (attune.ChangeRequest, error) {
			return attune.ChangeRequest{Author: in.author(), Kind: attune.ChangeMode, Mode: m.mode}, nil
		}); err != nil {
			return err
		}
	}
	if err := handleOne(ctx, q, UpdateSetLimit, "Set a manual limit instead of the policy's, of the queue or of a lane.", LimitInput.request); err != nil {
		return err
	}
	if err := handleOne(ctx, q, UpdateClearLimit, "Return to the policy's limit, of the queue or of a lane.", ClearInput.request); err != nil {
		return err
	}
	if err := handleOne(ctx, q, UpdateCancel, "Take a waiting ticket out of the queue.", CancelInput.request); err != nil {
		return err
	}
	return q.handleMany(ctx)
}

// handleOne registers an update that makes one change. The id of the update is the id of the request.
func handleOne[In any](
	ctx workflow.Context, q *actionQueue, name, description string, request func(In) (attune.ChangeRequest, error),
) error {
	requests := func(ctx workflow.Context, in In) ([]attune.ChangeRequest, error) {
		r, err := request(in)
		r.ID = workflow.GetCurrentUpdateInfo(ctx).ID
		return []attune.ChangeRequest{r}, err
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, in In) (QueueView, error) {
		changes, err := requests(ctx, in)
		if err != nil {
			return QueueView{}, refusal(err)
		}
		failures, err := q.change(ctx, changes)
		if err == nil {
			err = failures[0]
		}
		if err != nil {
			return QueueView{}, refusal(err)
		}
		return q.view()
	}, workflow.UpdateHandlerOptions{
		Description: description,
		Validator: func(ctx workflow.Context, in In) error {
			changes, err := requests(ctx, in)
			if err == nil {
				err = q.validate(changes)
			}
			return refusal(err)
		},
	})
	if err != nil {
		return fmt.Errorf("register update %q: %w", name, err)
	}
	return nil
}

// handleMany registers the update that makes several changes. Each change succeeds or fails on its own.
func (q *actionQueue) handleMany(ctx workflow.Context) error {
	err := workflow.SetUpdateHandlerWithOptions(ctx, UpdateChange, func(ctx workflow.Context, in ChangesInput) (ChangesResult, error) {
		failures, err := q.change(ctx, in.Changes)
		if err != nil {
			return ChangesResult{}, refusal(err)
		}
		result := ChangesResult{Status: q.status(), Failures: make([]ChangeFailure, len(failures))}
		for i, failure := range failures {
			if failure != nil {
				result.Failures[i] = ChangeFailure{Code: attune.CodeOf(failure), Message: failure.Error()}
			}
		}
		return result, nil
	}, workflow.UpdateHandlerOptions{
		Description: "Make several changes, each on its own.",
		Validator:   func(in ChangesInput) error { return refusal(q.validate(in.Changes)) },
	})
	if err != nil {
		return fmt.Errorf("register update %q: %w", UpdateChange, err)
	}
	return nil
}

// refusal returns an application error whose type is the code of err. Temporal does not retry it.
func refusal(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), string(attune.CodeOf(err)), nil)
}

// validate returns the error for requests that must not enter the history. A closing run refuses all requests; otherwise a
// steady stream of them could prevent its end.
func (q *actionQueue) validate(requests []attune.ChangeRequest) error {
	if q.closing {
		return attune.Errorf(attune.CodeUnavailable, "the queue continues as new: send the request again")
	}
	if len(requests) == 0 || len(requests) > maxChanges {
		return attune.Errorf(attune.CodeInvalid, "%d changes in one update: use 1 to %d", len(requests), maxChanges)
	}
	for _, r := range requests {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	return nil
}

// change makes the changes in one step and waits until they are recorded. It returns one error per change, nil for a change
// that was made.
//
// If the run ends first, the error of an unrecorded change is [attune.CodeUnavailable]. The next run records the change, and
// recognizes the repeated request.
func (q *actionQueue) change(ctx workflow.Context, requests []attune.ChangeRequest) (failures []error, err error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx) // cancelling a queue has no effect
	if err := workflow.Await(ctx, func() bool { return q.state != nil }); err != nil {
		return nil, fmt.Errorf("wait for the queue to be rebuilt: %w", err)
	}
	numbers, last := make([]int64, len(requests)), int64(0)
	failures = make([]error, len(requests))
	for i, r := range requests {
		numbers[i], failures[i] = q.state.Change(workflow.Now(ctx), r)
		last = max(last, numbers[i])
	}
	q.changed = true
	recorded := func() bool {
		done, _ := q.state.ChangeOutcome(last)
		return done
	}
	if err := workflow.Await(ctx, func() bool { return q.abandoned || last == 0 || recorded() }); err != nil {
		return nil, fmt.Errorf("wait for the record of changes: %w", err)
	}
	for i := range requests {
		if failures[i] == nil {
			failures[i] = q.outcome(numbers[i])
		}
	}
	return failures, nil
}

// outcome returns the error of a change that is not recorded yet, had no effect, or was given up.
func (q *actionQueue) outcome(number int64) error {
	recorded, failure := q.state.ChangeOutcome(number)
	if !recorded {
		return attune.Errorf(attune.CodeUnavailable, "the change is made but not recorded yet: send the request again with the same id")
	}
	return failure
}
