package ingest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
)

// push returns an arrival over the API.
func push() ingest.Arrival {
	return ingest.Arrival{
		Source: attune.SourceAPI, Trigger: "github.push", Payload: json.RawMessage(`{"ref": "main", "big": 12345678901234567890}`),
		DedupKey: "d-1", Principal: admin,
	}
}

func TestEvent(t *testing.T) {
	t.Parallel()

	t.Run("an arrival is checked, decided and recorded, in this order", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.decisions = []attune.Decision{
			{RuleID: 5, ActionID: 4, Status: attune.EnforcementCreated},
			{RuleID: 6, ActionID: 4, Status: attune.EnforcementRejected, Reason: attune.ReasonCriteriaFailed},
		}
		recorded, err := w.Event(t.Context(), push())
		require.NoError(t, err)
		require.False(t, recorded.Duplicate)
		require.Len(t, recorded.Enforcements, 2)
		require.Equal(t, []string{"trigger github.push", "check github.push", "record github.push", "decide 1"}, w.steps,
			"decisions are made while the event is recorded")
		require.Len(t, w.candidates, 1)
		require.Equal(t, []attune.Event{{
			Trigger: "github.push", Payload: json.RawMessage(`{"ref": "main", "big": 12345678901234567890}`),
			Source: attune.SourceAPI, DedupKey: "d-1", Author: &attune.Author{Principal: admin},
		}}, w.recorded, "the payload is kept byte by byte")
		require.Equal(t, []string{"event api", "1 created", "1 rejectedcriteria_failed"}, w.counted)
	})

	t.Run("a repetition is answered with the first event and not counted", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		first, err := w.Event(t.Context(), push())
		require.NoError(t, err)
		counted := len(w.counted)
		again := push()
		again.Payload = json.RawMessage(`{"ref": "other"}`)
		second, err := w.Event(t.Context(), again)
		require.NoError(t, err)
		require.True(t, second.Duplicate)
		require.Equal(t, first.Event, second.Event)
		require.Len(t, w.counted, counted)
		require.Len(t, w.recorded, 1)
	})

	t.Run("a webhook has no author, and the source's time of receipt is recorded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		arrival := push()
		arrival.Source, arrival.Principal, arrival.ReceivedAt = attune.SourceWebhook, attune.Principal{}, noon
		_, err := w.Event(t.Context(), arrival)
		require.NoError(t, err)
		require.Nil(t, w.recorded[0].Author)
		require.Equal(t, noon, w.recorded[0].ReceivedAt)
	})
}

func TestEvent_Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil   func(*ingest.Arrival, *world)
		code    attune.Code
		message string
	}{
		"an unknown trigger":           {func(a *ingest.Arrival, _ *world) { a.Trigger = "github.pull" }, attune.CodeNotFound, `"github.pull"`},
		"an invalid trigger reference": {func(a *ingest.Arrival, _ *world) { a.Trigger = "push" }, attune.CodeInvalid, `"push"`},
		"the trigger of direct runs": {func(a *ingest.Arrival, _ *world) { a.Trigger = attune.ManualTrigger },
			attune.CodeInvalid, "belongs to direct runs"},
		"an unknown source":         {func(a *ingest.Arrival, _ *world) { a.Source = "pigeon" }, attune.CodeInvalid, `"pigeon"`},
		"the source of direct runs": {func(a *ingest.Arrival, _ *world) { a.Source = attune.SourceManual }, attune.CodeInvalid, `"manual"`},
		"a key that is too long": {func(a *ingest.Arrival, _ *world) { a.DedupKey = strings.Repeat("k", 256) },
			attune.CodeInvalid, "dedup_key: 256 bytes are too many: use 255 or less"},
		"a key with a control character": {func(a *ingest.Arrival, _ *world) { a.DedupKey = "a\x00" }, attune.CodeInvalid, "U+0000"},
		"the API without a principal": {func(a *ingest.Arrival, _ *world) { a.Principal = attune.Principal{} },
			attune.CodeInvalid, "principal"},
		"a principal with a control character": {func(a *ingest.Arrival, _ *world) { a.Principal.Name = "\x1b[2J" },
			attune.CodeInvalid, "U+001B"},
		"a payload that is too large": {func(a *ingest.Arrival, _ *world) { a.Payload = make([]byte, attune.MaxPayloadBytes+1) },
			attune.CodeTooLarge, "512 KiB"},
		"a payload that does not fit": {func(_ *ingest.Arrival, w *world) { w.refusal = attune.Errorf(attune.CodeInvalid, "ref is missing") },
			attune.CodeInvalid, "ref is missing"},
		"an event while the database is down": {func(_ *ingest.Arrival, w *world) { w.down = attune.Errorf(attune.CodeUnavailable, "gone") },
			attune.CodeUnavailable, "gone"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			w, arrival := setup(t), push()
			tt.spoil(&arrival, w)
			_, err := w.Event(t.Context(), arrival)
			w.requireRefused(t, err, tt.code, tt.message)
		})
	}
}

func TestNew_Incomplete(t *testing.T) {
	t.Parallel()
	_, err := ingest.New(ingest.Deps{})
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}
