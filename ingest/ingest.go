package ingest

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/attune-go/attune"
)

// Triggers finds triggers. A trigger that no pack declares is an [attune.CodeNotFound] error.
type Triggers interface {
	Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error)
}

// Actions finds enabled and disabled actions. An unknown action is an [attune.CodeNotFound] error.
type Actions interface {
	Action(ctx context.Context, ref attune.Ref) (attune.Action, error)
}

// Engine decides which enforcements follow from an arrival. It has no side effects, bounds the memory and the time of each call,
// and is safe for concurrent use.
type Engine interface {
	Payloads
	Keys

	// Decide returns one decision per candidate whose criteria match the event or cannot be evaluated.
	Decide(ctx context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision
	// Manual decides a direct run. Parameters that the action does not accept are an [attune.CodeInvalid] error.
	Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error)
}

// Keys evaluates keys and costs, under the promises of [Engine].
type Keys interface {
	// Lane returns the decision of Manual with its lane and its charges. A key or a cost that fails rejects the decision. event is the
	// event as it is recorded.
	Lane(ctx context.Context, event attune.Event, action attune.Action, decision attune.Decision) attune.Decision
	// Rechoose returns the decision about a recorded enforcement with the lane and the charges that the key and the gates of the action
	// choose now. A key or a cost that fails rejects the decision.
	Rechoose(ctx context.Context, run attune.RecordedRun, action attune.Action) attune.Decision
}

// Payloads checks and masks the payloads of events, under the promises of [Engine].
type Payloads interface {
	// CheckEvent returns an [attune.CodeInvalid] error for a payload that the trigger does not accept.
	CheckEvent(trigger attune.Trigger, payload json.RawMessage) error
	// MaskEvent takes the secret fields out of a payload that CheckEvent accepts, and masks them.
	MaskEvent(trigger attune.Trigger, payload json.RawMessage) (json.RawMessage, []attune.SecretField, error)
}

// Encrypter encrypts secrets for the database. Without a key it returns an [attune.CodeUnavailable] error, and "" without secrets.
type Encrypter interface {
	// EncryptPayload encrypts the secret fields of an event's payload.
	EncryptPayload(event attune.EventID, trigger attune.Ref, fields []attune.SecretField) (string, error)
	// EncryptParameters encrypts the secret parameters of an enforcement. The rule of a direct run is 0.
	EncryptParameters(event attune.EventID, rule attune.RuleID, action attune.Ref, fields []attune.SecretField) (string, error)
}

// Recorder writes an event, its enforcements and the outbox messages in one transaction. decide runs inside the transaction and
// must not do I/O. If the trigger already has an event with the same dedup key, Record writes nothing and returns that event,
// with Duplicate set.
type Recorder interface {
	Record(
		ctx context.Context, event attune.Event, decide attune.DecideFunc,
	) (attune.Recorded, error)
	// ReserveID returns an id that no event has, for an event that must know its id before Record. Record chooses the id of any other
	// event.
	ReserveID(ctx context.Context) (attune.EventID, error)
}

// Metrics counts recorded events and enforcements.
type Metrics interface {
	EventRecorded(ctx context.Context, source attune.Source)
	EnforcementReached(ctx context.Context, n int, status attune.EnforcementStatus, reason attune.Reason)
}

// Deps are the dependencies of an [Ingest]. All except Evaluations are required.
type Deps struct {
	Triggers  Triggers
	Actions   Actions
	Engine    Engine
	Encrypter Encrypter
	Recorder  Recorder
	Metrics   Metrics
	// Evaluations bounds the calls of Engine that run at the same time. 0 means one for each processor that the process may use.
	Evaluations int
}

// Ingest checks, decides and records arrivals. [New] makes one.
type Ingest struct {
	deps        Deps
	evaluations slots
}

// New returns an Ingest. A missing dependency and a negative number of evaluations are [attune.CodeInvalid] errors.
func New(deps Deps) (*Ingest, error) {
	if deps.Triggers == nil || deps.Actions == nil || deps.Engine == nil || deps.Encrypter == nil || deps.Recorder == nil ||
		deps.Metrics == nil {
		return nil, attune.Errorf(attune.CodeInvalid, "ingest needs triggers, actions, an engine, an encrypter, a recorder and metrics")
	}
	if deps.Evaluations < 0 {
		return nil, attune.Errorf(attune.CodeInvalid, "%d evaluations at the same time: use 0 for the default, or more", deps.Evaluations)
	}
	return &Ingest{deps: deps, evaluations: newSlots(deps.Evaluations)}, nil
}

// decideFunc is an [attune.DecideFunc] that can fail.
type decideFunc func(event attune.Event, candidates []attune.Candidate) ([]attune.Decision, error)

// record writes an event and its enforcements, and counts them. It does not count a repetition. It encrypts the secrets of the decisions,
// which are about the actions of the candidates, or about action.
// When decide or the encryption fails, record writes nothing and returns that error: the context of the transaction ends, so that it
// cannot commit.
func (i *Ingest) record(
	ctx context.Context, event attune.Event, action attune.Action, decide decideFunc,
) (attune.Recorded, error) {
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	var failed error
	recorded, err := i.deps.Recorder.Record(ctx, event, func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		decisions, err := decide(event, candidates)
		if failed = errors.Join(err, i.encrypt(event.ID, decisions, refsOf(candidates, action))); failed != nil {
			abort()
			return nil
		}
		return decisions
	})
	if failed != nil {
		return attune.Recorded{}, failed
	}
	if err != nil || recorded.Duplicate {
		return recorded, err
	}
	recorded.Event.Secrets, recorded.Event.Encrypted = nil, ""
	i.deps.Metrics.EventRecorded(ctx, event.Source)
	for _, e := range recorded.Enforcements {
		i.deps.Metrics.EnforcementReached(ctx, 1, e.Status, e.Reason)
	}
	return recorded, nil
}

// refsOf returns the references of the actions of candidates, and of one more action.
func refsOf(candidates []attune.Candidate, action attune.Action) map[attune.ActionID]attune.Ref {
	refs := map[attune.ActionID]attune.Ref{action.ID: action.Ref}
	for _, c := range candidates {
		refs[c.Action.ID] = c.Action.Ref
	}
	return refs
}

// encrypt encrypts the secrets of the decisions that will run. refs has the references of their actions.
func (i *Ingest) encrypt(event attune.EventID, decisions []attune.Decision, refs map[attune.ActionID]attune.Ref) (err error) {
	for n := range decisions {
		d := &decisions[n]
		if d.Status == attune.EnforcementRejected {
			continue
		}
		if d.Encrypted, err = i.deps.Encrypter.EncryptParameters(event, d.RuleID, refs[d.ActionID], d.Secrets); err != nil {
			return err
		}
	}
	return nil
}

// checkSize returns an error for a document above [attune.MaxPayloadBytes]. subject begins the message: "the payload has".
func checkSize(subject string, document json.RawMessage) error {
	if len(document) > attune.MaxPayloadBytes {
		return attune.Errorf(attune.CodeTooLarge, "%s more than %d KiB: put large data elsewhere and send a reference to it",
			subject, attune.MaxPayloadBytes>>10)
	}
	return nil
}
