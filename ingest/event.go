package ingest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/attune-go/attune"
)

// Arrival is an event that a source received and that is not yet recorded.
type Arrival struct {
	Source  attune.Source // any source except [attune.SourceManual]: see [Ingest.Run]
	Trigger attune.Ref
	Payload json.RawMessage // at most [attune.MaxPayloadBytes]
	// DedupKey identifies the event, in up to [attune.MaxDedupKey] bytes. An arrival without a key is always a new event.
	DedupKey string
	// Principal is the sender. The API requires one. A webhook has none: its signature proves the origin, not a person.
	Principal attune.Principal
	// ReceivedAt is when the source received the arrival; zero means now. A time in the future, by the database's clock, counts
	// as now.
	ReceivedAt time.Time
}

// Event records an arrival and its enforcements, or finds the recorded event with the same dedup key.
func (i *Ingest) Event(ctx context.Context, arrival Arrival) (attune.Recorded, error) {
	if err := arrival.check(); err != nil {
		return attune.Recorded{}, err
	}
	trigger, err := i.deps.Triggers.Trigger(ctx, arrival.Trigger)
	if err != nil {
		return attune.Recorded{}, err
	}
	if err := i.accept(ctx, trigger, arrival.Payload); err != nil {
		return attune.Recorded{}, err
	}
	// The context has ended when no slot was free. So the transaction cannot commit without decisions.
	var busy error
	recorded, err := i.record(ctx, arrival.event(), func(event attune.Event, candidates []attune.Candidate) (decisions []attune.Decision) {
		busy = i.evaluations.use(ctx, func() { decisions = i.deps.Engine.Decide(ctx, event, candidates) })
		return decisions
	})
	if busy != nil {
		return attune.Recorded{}, busy
	}
	return recorded, err
}

// accept returns an error for a payload that the trigger does not accept.
func (i *Ingest) accept(ctx context.Context, trigger attune.Trigger, payload json.RawMessage) error {
	var refusal error
	if err := i.evaluations.use(ctx, func() { refusal = i.deps.Engine.CheckEvent(trigger, payload) }); err != nil {
		return err
	}
	return refusal
}

// check returns an error for an arrival that no trigger accepts.
func (a Arrival) check() error {
	switch a.Source {
	case attune.SourceAPI, attune.SourceWebhook, attune.SourceTimer:
	default:
		return attune.Errorf(attune.CodeInvalid, "source %q: use %q, %q or %q",
			a.Source, attune.SourceAPI, attune.SourceWebhook, attune.SourceTimer)
	}
	if err := a.Trigger.Validate(); err != nil {
		return err
	}
	if a.Trigger == attune.ManualTrigger {
		return attune.Errorf(attune.CodeInvalid, "trigger %q belongs to direct runs: run the action instead", attune.ManualTrigger)
	}
	if err := attune.CheckText("dedup_key", a.DedupKey, attune.MaxDedupKey); err != nil {
		return err
	}
	if err := attune.CheckTime("received_at", a.ReceivedAt); err != nil {
		return err
	}
	if a.Principal != (attune.Principal{}) || a.Source == attune.SourceAPI {
		if err := a.Principal.Validate(); err != nil {
			return err
		}
	}
	return checkSize("the payload has", a.Payload)
}

// event returns the event to record.
func (a Arrival) event() attune.Event {
	event := attune.Event{
		Trigger: a.Trigger, Payload: a.Payload, Source: a.Source, DedupKey: a.DedupKey, ReceivedAt: a.ReceivedAt,
	}
	if a.Principal != (attune.Principal{}) {
		event.Author = &attune.Author{Principal: a.Principal}
	}
	return event
}
