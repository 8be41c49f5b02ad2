package ingest_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

var (
	admin = attune.Principal{Name: "admin", Method: attune.AuthToken}
	sam   = attune.Author{Principal: admin, OnBehalfOf: "sam", Note: "a first try"}
)

// world fakes every dependency of an Ingest, and records the calls in order.
type world struct {
	*ingest.Ingest
	steps      []string
	refusal    error                // of CheckEvent and Manual
	secrets    []attune.SecretField // of MaskEvent
	noKey      error                // of the encrypter, for secrets
	down       error                // of Record and ReserveID
	decisions  []attune.Decision
	key        *string                    // of every action
	known      map[string]attune.Recorded // by trigger and dedup key
	recorded   []attune.Event
	encrypted  []string          // of the recorded decisions
	lanes      []attune.LaneName // of the recorded decisions
	counted    []string
	candidates []attune.Candidate // arguments of Decide
}

func setup(t *testing.T) *world {
	t.Helper()
	w := &world{known: map[string]attune.Recorded{}}
	in, err := ingest.New(ingest.Deps{Triggers: w, Actions: w, Engine: w, Encrypter: w, Recorder: w, Metrics: w})
	require.NoError(t, err)
	w.Ingest = in
	return w
}

func (w *world) step(format string, args ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, args...))
}

func (w *world) Trigger(_ context.Context, ref attune.Ref) (attune.Trigger, error) {
	w.step("trigger %s", ref)
	if ref != "github.push" {
		return attune.Trigger{}, attune.Errorf(attune.CodeNotFound, "there is no trigger %q", ref)
	}
	return attune.Trigger{ID: 3, Ref: ref}, nil
}

func (w *world) Action(_ context.Context, ref attune.Ref) (attune.Action, error) {
	w.step("action %s", ref)
	switch ref {
	case "shop.deploy", "shop.notify":
		return attune.Action{ID: 4, Ref: ref, Enabled: true, Key: w.key}, nil
	case "shop.old":
		return attune.Action{ID: 5, Ref: ref}, nil
	default:
		return attune.Action{}, attune.Errorf(attune.CodeNotFound, "there is no action %q", ref)
	}
}

func (w *world) CheckEvent(trigger attune.Trigger, _ json.RawMessage) error {
	w.step("check %s", trigger.Ref)
	return w.refusal
}

func (w *world) MaskEvent(_ attune.Trigger, payload json.RawMessage) (json.RawMessage, []attune.SecretField, error) {
	if w.secrets == nil {
		return payload, nil, nil
	}
	return json.RawMessage(`{"masked": true}`), w.secrets, nil
}

func (w *world) EncryptPayload(event attune.EventID, trigger attune.Ref, fields []attune.SecretField) (string, error) {
	w.step("encrypt event %d of %s", event, trigger)
	return fmt.Sprintf("encrypted %d", len(fields)), w.noKey
}

func (w *world) EncryptParameters(
	event attune.EventID, rule attune.RuleID, action attune.Ref, fields []attune.SecretField,
) (string, error) {
	if fields == nil {
		return "", nil
	}
	w.step("encrypt event %d rule %d action %s", event, rule, action)
	return "encrypted " + fields[0].Pointer, w.noKey
}

func (w *world) Decide(_ context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision {
	w.step("decide %d", event.ID)
	w.candidates = candidates
	return w.decisions
}

func (w *world) Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
	w.step("manual %s", action.Ref)
	if len(parameters) == 0 {
		parameters = json.RawMessage(`{}`)
	}
	return attune.Decision{ActionID: action.ID, Parameters: parameters, Status: attune.EnforcementCreated, Secrets: w.secrets}, w.refusal
}

func (w *world) Rechoose(_ context.Context, run attune.RecordedRun, action attune.Action) attune.Decision {
	w.step("choose for enforcement %d by %s", run.Enforcement, *action.Key)
	return attune.Decision{ActionID: action.ID, Lane: attune.LaneOf(*action.Key)}
}

func (w *world) Lane(_ context.Context, event attune.Event, action attune.Action, decision attune.Decision) attune.Decision {
	w.step("lane of event %d by %s", event.ID, *action.Key)
	if *action.Key == "invalid" {
		return attune.Decision{
			ActionID: action.ID, Parameters: decision.Parameters, Status: attune.EnforcementRejected, Reason: attune.ReasonKeyInvalid,
		}
	}
	decision.Lane = attune.LaneOf("a")
	return decision
}

func (w *world) Record(
	ctx context.Context, event attune.Event, decide attune.DecideFunc,
) (attune.Recorded, error) {
	w.step("record %s", event.Trigger)
	if w.down != nil {
		return attune.Recorded{}, w.down
	}
	key := string(event.Trigger) + " " + event.DedupKey
	if earlier, known := w.known[key]; known && event.DedupKey != "" {
		earlier.Duplicate = true
		return earlier, nil
	}
	stored := event
	event.ID = cmp.Or(event.ID, attune.EventID(len(w.recorded)+1))
	recorded := attune.Recorded{Event: event}
	for i, d := range decide(event, []attune.Candidate{{Rule: attune.Rule{ID: 5}, Action: attune.Action{ID: 4, Ref: "shop.deploy"}}}) {
		recorded.Enforcements = append(recorded.Enforcements, attune.Enforcement{
			ID: attune.EnforcementID(i + 1), Event: event.ID, Parameters: d.Parameters, Status: d.Status, Reason: d.Reason,
		})
		w.encrypted, w.lanes = append(w.encrypted, d.Encrypted), append(w.lanes, d.Lane)
	}
	if err := ctx.Err(); err != nil { // the transaction cannot commit
		return attune.Recorded{}, err
	}
	w.recorded = append(w.recorded, stored)
	w.known[key] = recorded
	return recorded, nil
}

func (w *world) ReserveID(context.Context) (attune.EventID, error) {
	w.step("reserve")
	return 41, w.down
}

func (w *world) EventRecorded(_ context.Context, source attune.Source) {
	w.counted = append(w.counted, "event "+string(source))
}

func (w *world) EnforcementReached(_ context.Context, n int, status attune.EnforcementStatus, reason attune.Reason) {
	w.counted = append(w.counted, fmt.Sprintf("%d %s%s", n, status, reason))
}

// requireRefused checks the error of a call, and that the call recorded and counted nothing.
func (w *world) requireRefused(t *testing.T, err error, code attune.Code, message string) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, code, attune.CodeOf(err), "%v", err)
	require.ErrorContains(t, err, message)
	require.Empty(t, w.recorded)
	require.Empty(t, w.counted)
}
