package ingest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/attune-go/attune"
)

// DirectRun requests one run of an action, without a rule.
type DirectRun struct {
	Action     attune.Ref
	Parameters json.RawMessage // at most [attune.MaxPayloadBytes]; empty means an empty object
	// DedupKey identifies the run among the runs of its action, in up to [attune.MaxDedupKey] bytes. A request without a key is
	// always a new run.
	DedupKey string
	Author   attune.Author
}

// Run records a direct run: an event of [attune.ManualTrigger] with one enforcement. A disabled action is an
// [attune.CodeConflict] error. A run whose key or cost fails is recorded as rejected.
func (i *Ingest) Run(ctx context.Context, run DirectRun) (attune.Recorded, error) {
	if err := run.check(); err != nil {
		return attune.Recorded{}, err
	}
	action, err := i.deps.Actions.Action(ctx, run.Action)
	if err != nil {
		return attune.Recorded{}, err
	}
	if !action.Enabled {
		return attune.Recorded{}, disabled(action)
	}
	decision, err := i.decide(ctx, action, run.Parameters)
	if err != nil {
		return attune.Recorded{}, err
	}
	if err := checkKey(run.DedupKey, decision.Secrets); err != nil {
		return attune.Recorded{}, err
	}
	recorded, err := i.record(ctx, run.event(decision), action, func(
		event attune.Event, _ []attune.Candidate,
	) (_ []attune.Decision, err error) {
		decided, err := i.choose(ctx, event, action, decision)
		return []attune.Decision{decided}, err
	})
	if err == nil && len(recorded.Enforcements) != 1 {
		err = fmt.Errorf("run %q: event %d has %d enforcements", run.Action, recorded.Event.ID, len(recorded.Enforcements))
	}
	return recorded, err
}

// decide returns the decision for a run of an action.
func (i *Ingest) decide(ctx context.Context, action attune.Action, parameters json.RawMessage) (decision attune.Decision, err error) {
	if busy := i.evaluations.use(ctx, func() { decision, err = i.deps.Engine.Manual(action, parameters) }); busy != nil {
		return attune.Decision{}, busy
	}
	return decision, err
}

// choose returns the decision with its lane and its charges. Keys and costs can read the event as it is recorded, with its time.
func (i *Ingest) choose(
	ctx context.Context, event attune.Event, action attune.Action, decision attune.Decision,
) (decided attune.Decision, err error) {
	if action.Key == nil && len(action.Gates) == 0 {
		return decision, nil
	}
	err = i.evaluations.use(ctx, func() { decided = i.deps.Engine.Lane(ctx, event, action, decision) })
	return decided, err
}

// check returns an error for a run that no action accepts.
func (r DirectRun) check() error {
	if err := r.Action.Validate(); err != nil {
		return err
	}
	if err := attune.CheckText("dedup_key", r.DedupKey, attune.MaxDedupKey); err != nil {
		return err
	}
	if err := r.Author.Validate(); err != nil {
		return err
	}
	return checkSize("the parameters have", r.Parameters)
}

// event returns the event to record. Its payload has the parameters byte by byte, apart from the masks of secrets, so it may be larger
// than [attune.MaxPayloadBytes] by the reference of the action. The secrets themselves are with the enforcement only. All actions share
// one trigger, so the dedup key names the action.
func (r DirectRun) event(decision attune.Decision) attune.Event {
	event := attune.Event{
		Trigger: attune.ManualTrigger, Source: attune.SourceManual, Author: &r.Author,
		Payload: fmt.Appendf(nil, `{"action":%q,"parameters":%s}`, r.Action, decision.Parameters), // a reference needs no escapes
	}
	if r.DedupKey != "" {
		event.DedupKey = string(r.Action) + "/" + r.DedupKey
	}
	return event
}
