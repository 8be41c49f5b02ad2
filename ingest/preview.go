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

func disabled(action attune.Action) error {
	return attune.Errorf(attune.CodeConflict, "action %q is disabled: its pack no longer declares it", action.Ref)
}
