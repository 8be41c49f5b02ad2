package ingest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/attune-go/attune"
)

// Preview returns what [Ingest.Run] would decide about a run of an action at this moment: the lane and the charges of its enforcement, or
// why its key or its cost fails. It records nothing. Its errors are those of Run.
func (i *Ingest) Preview(ctx context.Context, action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
	if err := checkSize("the parameters have", parameters); err != nil {
		return attune.Decision{}, err
	}
	if !action.Enabled {
		return attune.Decision{}, disabled(action)
	}
	decision, err := i.decide(ctx, action, parameters)
	if err != nil {
		return attune.Decision{}, err
	}
	event := DirectRun{Action: action.Ref}.event(decision)
	event.ReceivedAt = time.Now().UTC()
	return i.choose(ctx, event, action, decision)
}

// Rechoose returns the decision about a recorded enforcement with the lane and the charges that the key and the gates of an action choose.
// It records nothing. Its evaluation counts among [Deps.Evaluations]. The error is [attune.CodeUnavailable] if ctx ends first.
func (i *Ingest) Rechoose(ctx context.Context, run attune.RecordedRun, action attune.Action) (decision attune.Decision, err error) {
	busy := i.evaluations.use(ctx, func() { decision = i.deps.Engine.Rechoose(ctx, run, action) })
	if busy == nil && ctx.Err() != nil {
		busy = attune.WrapError(attune.CodeUnavailable, ctx.Err(), "the evaluation was stopped: try again")
	}
	return decision, busy
}

func disabled(action attune.Action) error {
	return attune.Errorf(attune.CodeConflict, "action %q is disabled: its pack no longer declares it", action.Ref)
}
