package ingest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/ingest"
)

func deploy() ingest.DirectRun {
	return ingest.DirectRun{Action: "shop.deploy", Parameters: json.RawMessage(`{"version": 3}`), DedupKey: "k-1", Author: sam}
}

// object returns a JSON object of size bytes, whose text grows when an encoder escapes it.
func object(size int) json.RawMessage {
	return json.RawMessage(`{"x": "` + strings.Repeat("<", size-len(`{"x": ""}`)) + `"}`)
}

func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("a run is recorded as a manual event with one enforcement", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		recorded, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.Len(t, recorded.Enforcements, 1)
		require.JSONEq(t, `{"version": 3}`, string(recorded.Enforcements[0].Parameters))
		require.Equal(t, []string{"action shop.deploy", "manual shop.deploy", "record core.manual"}, w.steps)
		event := w.recorded[0]
		require.Equal(t, attune.SourceManual, event.Source)
		require.Equal(t, &sam, event.Author)
		require.JSONEq(t, `{"action": "shop.deploy", "parameters": {"version": 3}}`, string(event.Payload))
		require.Equal(t, []string{"event manual", "1 created"}, w.counted)
	})

	t.Run("a key identifies a run among the runs of one action", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		first, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		again, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.True(t, again.Duplicate)
		require.Equal(t, first.Enforcements, again.Enforcements)
		other := deploy()
		other.Action = "shop.notify"
		recorded, err := w.Run(t.Context(), other)
		require.NoError(t, err)
		require.False(t, recorded.Duplicate)
		require.Len(t, w.recorded, 2)
	})

	t.Run("parameters of exactly the limit are recorded byte by byte", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		run := deploy()
		run.Parameters = object(attune.MaxPayloadBytes)
		_, err := w.Run(t.Context(), run)
		require.NoError(t, err)
		require.Equal(t, `{"action":"shop.deploy","parameters":`+string(run.Parameters)+`}`, string(w.recorded[0].Payload))
	})

	t.Run("each run without a key is new", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		run := deploy()
		run.DedupKey, run.Parameters = "", nil
		for range 2 {
			recorded, err := w.Run(t.Context(), run)
			require.NoError(t, err)
			require.False(t, recorded.Duplicate)
		}
		require.Empty(t, w.recorded[0].DedupKey)
		require.JSONEq(t, `{"action": "shop.deploy", "parameters": {}}`, string(w.recorded[1].Payload))
	})
}

func TestRun_Key(t *testing.T) {
	t.Parallel()

	t.Run("the key of the action chooses the lane, from the event as it is recorded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.key = new("parameters.version")
		_, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.Equal(t, []string{
			"action shop.deploy", "manual shop.deploy", "record core.manual", "lane of event 1 by parameters.version",
		}, w.steps)
		require.Equal(t, []attune.LaneName{"=a"}, w.lanes)
		require.Equal(t, []string{"event manual", "1 created"}, w.counted)
	})

	t.Run("a repetition evaluates no key", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.key = new("parameters.version")
		for range 2 {
			_, err := w.Run(t.Context(), deploy())
			require.NoError(t, err)
		}
		require.Equal(t, []attune.LaneName{"=a"}, w.lanes)
	})

	t.Run("an action without a key has no lane", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		_, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.Equal(t, []attune.LaneName{""}, w.lanes)
	})

	t.Run("a key that fails rejects the run, and encrypts no secret", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.key, w.secrets = new("invalid"), hunter()
		recorded, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.Len(t, recorded.Enforcements, 1)
		require.Equal(t, attune.EnforcementRejected, recorded.Enforcements[0].Status)
		require.Equal(t, attune.ReasonKeyInvalid, recorded.Enforcements[0].Reason)
		require.JSONEq(t, `{"version": 3}`, string(recorded.Enforcements[0].Parameters))
		require.Equal(t, []string{"event manual", "1 rejectedkey_invalid"}, w.counted)
		require.Equal(t, []string{""}, w.encrypted)
	})
}

func TestRun_Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		spoil   func(*ingest.DirectRun, *world)
		code    attune.Code
		message string
	}{
		"an unknown action":           {func(r *ingest.DirectRun, _ *world) { r.Action = "shop.nope" }, attune.CodeNotFound, `"shop.nope"`},
		"an invalid action reference": {func(r *ingest.DirectRun, _ *world) { r.Action = "deploy" }, attune.CodeInvalid, `"deploy"`},
		"a disabled action": {func(r *ingest.DirectRun, _ *world) { r.Action = "shop.old" },
			attune.CodeConflict, "its pack no longer declares it"},
		"an author without a principal": {func(r *ingest.DirectRun, _ *world) { r.Author = attune.Author{} }, attune.CodeInvalid, "principal"},
		"a note of two lines":           {func(r *ingest.DirectRun, _ *world) { r.Author.Note = "a\nb" }, attune.CodeInvalid, "note: "},
		"a key that is too long": {func(r *ingest.DirectRun, _ *world) { r.DedupKey = strings.Repeat("k", 256) },
			attune.CodeInvalid, "256 bytes"},
		"a run with invalid parameters": {func(_ *ingest.DirectRun, w *world) {
			w.refusal = attune.Errorf(attune.CodeInvalid, "version is missing")
		},
			attune.CodeInvalid, "version is missing"},
		"a run with parameters above the limit": {func(r *ingest.DirectRun, _ *world) {
			r.Parameters = object(attune.MaxPayloadBytes + 1)
		}, attune.CodeTooLarge, "the parameters have more than 512 KiB"},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			w, run := setup(t), deploy()
			tt.spoil(&run, w)
			_, err := w.Run(t.Context(), run)
			w.requireRefused(t, err, tt.code, tt.message)
		})
	}
}

func TestRechoose(t *testing.T) {
	t.Parallel()
	w := setup(t)
	action := attune.Action{Ref: "shop.deploy", Key: new("parameters.version")}
	decision, err := w.Ingest.Rechoose(t.Context(), attune.RecordedRun{Enforcement: 7}, action)
	require.NoError(t, err)
	require.Equal(t, attune.LaneOf("parameters.version"), decision.Lane)
	require.Equal(t, []string{"choose for enforcement 7 by parameters.version"}, w.steps, "nothing is recorded")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = w.Ingest.Rechoose(ctx, attune.RecordedRun{Enforcement: 7}, action)
	require.Equal(t, attune.CodeUnavailable, attune.CodeOf(err))
}
