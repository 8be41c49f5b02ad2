package ingest

import (
	"context"
	"encoding/json"

	"github.com/attune-go/attune"
)

// Triggers finds triggers. One that no pack declares is an [attune.CodeNotFound] error.
type Triggers interface {
	Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error)
}

// Actions finds actions, also disabled ones. One that does not exist is an [attune.CodeNotFound] error.
type Actions interface {
	Action(ctx context.Context, ref attune.Ref) (attune.Action, error)
}

// Engine decides what an arrival sets in motion. It has no side effects and may be called concurrently.
type Engine interface {
	// CheckEvent reports a payload that the trigger does not accept, as an [attune.CodeInvalid] error.
	CheckEvent(trigger attune.Trigger, payload json.RawMessage) error
	// Decide returns one decision per candidate whose criteria match the event or cannot be evaluated.
	Decide(ctx context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision
	// Manual decides a direct run. Parameters that the action does not accept are an [attune.CodeInvalid] error.
	Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error)
}

// Recorder writes an event with everything that it sets in motion, or nothing: event, enforcements and the messages that must
// follow. decide runs inside that transaction and must not do I/O. An event whose dedup key was recorded for the same trigger
// before is not written; the answer is the earlier one, with Duplicate set.
type Recorder interface {
	Record(
		ctx context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
	) (attune.Recorded, error)
}

// Metrics counts what was recorded.
type Metrics interface {
	EventRecorded(ctx context.Context, source attune.Source)
	EnforcementReached(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason)
}

// Deps is what an [Ingest] works with. Everything is required.
type Deps struct {
	Triggers Triggers
	Actions  Actions
	Engine   Engine
	Recorder Recorder
	Metrics  Metrics
}

// Ingest takes arrivals in. Make one with [New].
type Ingest struct{ deps Deps }

// New returns an Ingest. A missing dependency is an [attune.CodeInvalid] error.
func New(deps Deps) (*Ingest, error) {
	if deps.Triggers == nil || deps.Actions == nil || deps.Engine == nil || deps.Recorder == nil || deps.Metrics == nil {
		return nil, attune.Errorf(attune.CodeInvalid, "ingest needs triggers, actions, an engine, a recorder and metrics")
	}
	return &Ingest{deps: deps}, nil
}

// record writes an event with what it sets in motion, and counts both. A repetition is not counted again.
func (i *Ingest) record(
	ctx context.Context, event attune.Event, decide func(attune.Event, []attune.Candidate) []attune.Decision,
) (attune.Recorded, error) {
	recorded, err := i.deps.Recorder.Record(ctx, event, decide)
	if err != nil || recorded.Duplicate {
		return recorded, err
	}
	i.deps.Metrics.EventRecorded(ctx, event.Source)
	for _, e := range recorded.Enforcements {
		i.deps.Metrics.EnforcementReached(ctx, 1, e.Status, e.Reason)
	}
	return recorded, nil
}

// checkSize refuses a payload that is larger than an event may have.
func checkSize(payload json.RawMessage) error {
	if len(payload) > attune.MaxPayloadBytes {
		return attune.Errorf(attune.CodeTooLarge, "the payload has more than %d KiB: put large data elsewhere and send a reference to it",
			attune.MaxPayloadBytes>>10)
	}
	return nil
}
