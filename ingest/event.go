package ingest

import (
	"context"
	"encoding/json"
	"time"

	"github.com/attune-go/attune"
)

// Arrival is what a source hands over: one thing that happened, of a kind that a pack declares.
type Arrival struct {
	Source  attune.Source // any but [attune.SourceManual], which is [Ingest.Run]'s
	Trigger attune.Ref
	Payload json.RawMessage // at most [attune.MaxPayloadBytes]
	// DedupKey makes a repetition the same event; up to [attune.MaxDedupKey] bytes, none for an arrival that is always new.
	DedupKey string
	// Principal is who sent it. The API always has one. A webhook has none: its signature says where it comes from, not who.
	Principal attune.Principal
	// ReceivedAt is when the source took it in, if that was before it could hand it over; zero for now. A time that is still to
	// come by the database's clock counts as now.
	ReceivedAt time.Time
}

// Event records an arrival with everything that it sets in motion.
func (i *Ingest) Event(ctx context.Context, arrival Arrival) (attune.Recorded, error) {
	if err := arrival.check(); err != nil {
		return attune.Recorded{}, err
	}
	trigger, err := i.deps.Triggers.Trigger(ctx, arrival.Trigger)
	if err != nil {
		return attune.Recorded{}, err
	}
	if err := i.deps.Engine.CheckEvent(trigger, arrival.Payload); err != nil {
		return attune.Recorded{}, err
	}
	return i.record(ctx, arrival.event(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		return i.deps.Engine.Decide(ctx, event, candidates)
	})
}

// check refuses what no trigger can accept.
func (a Arrival) check() error {
	switch a.Source {
	case attune.SourceAPI, attune.SourceWebhook, attune.SourceTimer:
	default:
		return attune.Errorf(attune.CodeInvalid, "source: no event comes in by %q", a.Source)
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
	if a.Principal != (attune.Principal{}) || a.Source == attune.SourceAPI {
		if err := a.Principal.Validate(); err != nil {
			return err
		}
	}
	return checkSize(a.Payload)
}

// event is the arrival as it is to be recorded.
func (a Arrival) event() attune.Event {
	event := attune.Event{
		Trigger: a.Trigger, Payload: a.Payload, Source: a.Source, DedupKey: a.DedupKey, ReceivedAt: a.ReceivedAt,
	}
	if a.Principal != (attune.Principal{}) {
		event.Author = &attune.Author{Principal: a.Principal}
	}
	return event
}
