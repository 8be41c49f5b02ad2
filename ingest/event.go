package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
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
	event, err := i.accept(ctx, trigger, arrival.event())
	if err != nil {
		return attune.Recorded{}, err
	}
	return i.record(ctx, event, attune.Action{}, func(
		event attune.Event, candidates []attune.Candidate,
	) (decisions []attune.Decision, err error) {
		err = i.evaluations.use(ctx, func() { decisions = i.deps.Engine.Decide(ctx, event, candidates) })
		return decisions, err
	})
}

// accept returns the event to record, with its secret fields masked and encrypted. A payload that the trigger does not accept is an error.
func (i *Ingest) accept(ctx context.Context, trigger attune.Trigger, event attune.Event) (attune.Event, error) {
	var refusal error
	if err := i.evaluations.use(ctx, func() {
		if refusal = i.deps.Engine.CheckEvent(trigger, event.Payload); refusal == nil {
			event.Payload, event.Secrets, refusal = i.deps.Engine.MaskEvent(trigger, event.Payload)
		}
	}); err != nil {
		return event, err
	}
	if refusal != nil {
		return event, refusal
	}
	if err := checkKey(event.DedupKey, event.Secrets); err != nil {
		return event, err
	}
	return i.encryptPayload(ctx, event)
}

// encryptPayload encrypts the secret fields of an event. The encryption is bound to the id of the event, so it reserves one.
func (i *Ingest) encryptPayload(ctx context.Context, event attune.Event) (attune.Event, error) {
	if len(event.Secrets) == 0 {
		return event, nil
	}
	var err error
	if event.ID, err = i.deps.Recorder.ReserveID(ctx); err != nil {
		return event, err
	}
	event.Encrypted, err = i.deps.Encrypter.EncryptPayload(event.ID, event.Trigger, event.Secrets)
	return event, err
}

// checkKey returns an error for a dedup key that has a secret value in it: the key is stored and shown.
func checkKey(key string, fields []attune.SecretField) error {
	if key == "" {
		return nil
	}
	for _, f := range fields {
		values, err := secrets.Values(f.Value, []string{""}) // all that is inside of a marked object or list is secret
		if err != nil {
			return fmt.Errorf("compare the dedup key with the secret field %s: %w", f.Pointer, err)
		}
		for _, value := range values {
			if len(value) >= attune.MinSecretBytes && strings.Contains(key, value) {
				return attune.Errorf(attune.CodeInvalid, "dedup_key: it has the value of the secret field %s in it: choose another key",
					f.Pointer)
			}
		}
	}
	return nil
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
