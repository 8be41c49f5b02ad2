package ingest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// hunter is a secret field.
func hunter() []attune.SecretField {
	return []attune.SecretField{{Pointer: "/password", Value: json.RawMessage(`"hunter2"`)}, {Pointer: "/pin", Value: json.RawMessage(`4711`)}}
}

func TestSecrets(t *testing.T) {
	t.Parallel()

	t.Run("the secret fields of an event are masked and encrypted before it is recorded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.secrets = hunter()
		w.decisions = []attune.Decision{
			{RuleID: 5, ActionID: 4, Status: attune.EnforcementCreated, Secrets: hunter()[:1]}, {RuleID: 6, ActionID: 4, Status: attune.EnforcementCreated},
			{RuleID: 7, ActionID: 4, Status: attune.EnforcementRejected, Secrets: hunter()[:1]},
		}
		recorded, err := w.Event(t.Context(), push())
		require.NoError(t, err)
		require.Equal(t, []string{
			"trigger github.push", "check github.push", "reserve", "encrypt event 41 of github.push", "record github.push", "decide 41",
			"encrypt event 41 rule 5 action shop.deploy",
		}, w.steps)
		require.JSONEq(t, `{"masked": true}`, string(w.recorded[0].Payload))
		require.Equal(t, attune.EventID(41), w.recorded[0].ID)
		require.Equal(t, "encrypted 2", w.recorded[0].Encrypted, "also the field that no rule passes on")
		require.Equal(t, []string{"encrypted /password", "", ""}, w.encrypted)
		require.Nil(t, recorded.Event.Secrets)
		require.Empty(t, recorded.Event.Encrypted)
		encoded, err := json.Marshal(w.recorded[0])
		require.NoError(t, err)
		require.NotContains(t, string(encoded), "hunter2")
		require.NotContains(t, string(encoded), "encrypted")
	})

	t.Run("an event without secret fields needs no key, and gets its id from the recorder", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.noKey = attune.Errorf(attune.CodeUnavailable, "attune has no key")
		recorded, err := w.Event(t.Context(), push())
		require.NoError(t, err)
		require.Equal(t, attune.EventID(1), recorded.Event.ID)
		require.Zero(t, w.recorded[0].ID)
		require.Empty(t, w.recorded[0].Encrypted)
	})

	t.Run("an event whose id cannot be reserved is not recorded", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.secrets, w.down = hunter(), attune.Errorf(attune.CodeUnavailable, "no database")
		_, err := w.Event(t.Context(), push())
		w.requireRefused(t, err, attune.CodeUnavailable, "no database")
		require.NotContains(t, w.steps, "record github.push")
	})

	t.Run("the secret parameters of a run are encrypted with the enforcement", func(t *testing.T) {
		t.Parallel()
		w := setup(t)
		w.secrets = hunter()
		_, err := w.Run(t.Context(), deploy())
		require.NoError(t, err)
		require.Equal(t, []string{"action shop.deploy", "manual shop.deploy", "record core.manual", "encrypt event 1 rule 0 action shop.deploy"}, w.steps)
		require.Empty(t, w.recorded[0].Encrypted)
		require.Equal(t, []string{"encrypted /password"}, w.encrypted)
	})

	t.Run("without a key, nothing is recorded", func(t *testing.T) {
		t.Parallel()
		for name, call := range map[string]func(*world) error{
			"an event with secret fields": func(w *world) error {
				w.secrets = hunter()
				_, err := w.Event(t.Context(), push())
				return err
			},
			"an event whose rule has secret parameters": func(w *world) error {
				w.decisions = []attune.Decision{{RuleID: 5, Status: attune.EnforcementCreated, Secrets: hunter()}}
				_, err := w.Event(t.Context(), push())
				return err
			},
			"a run": func(w *world) error {
				w.secrets = hunter()
				_, err := w.Run(t.Context(), deploy())
				return err
			},
		} {
			w := setup(t)
			w.noKey = attune.Errorf(attune.CodeUnavailable, "attune has no key")
			w.requireRefused(t, call(w), attune.CodeUnavailable, "attune has no key")
			require.Empty(t, w.recorded, name)
		}
	})

	t.Run("a dedup key cannot have a secret in it", func(t *testing.T) {
		t.Parallel()
		parts := []attune.SecretField{{Pointer: "/parts", Value: json.RawMessage(`{"a": [null, true, {"key": "sword\u0066ish"}], "b": 815.25}`)}}
		for _, key := range []string{"hunter2", "id-hunter2-1", "4711", "id/swordfish", "815.25"} {
			w := setup(t)
			w.secrets = append(hunter(), parts...)
			arrival, run := push(), deploy()
			arrival.DedupKey, run.DedupKey = key, key
			_, err := w.Event(t.Context(), arrival)
			w.requireRefused(t, err, attune.CodeInvalid, "has the value of the secret field /p")
			require.NotContains(t, err.Error(), key)
			_, err = w.Run(t.Context(), run)
			w.requireRefused(t, err, attune.CodeInvalid, "has the value of the secret field /p")
		}
	})
}
