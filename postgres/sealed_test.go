package postgres_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/secrets"
)

// TestSealed records encrypted secrets of an event and its enforcement, and gives them another key.
func TestSealed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ring, oldKey := keyring(t)
	field := []attune.SecretField{{Pointer: "/password", Value: json.RawMessage(`"hunter2"`)}}
	event := attune.Event{Trigger: pushed, Payload: json.RawMessage(`{"password": "***"}`), Source: attune.SourceWebhook}
	var err error
	event.Sealed, err = ring.SealEvent(event.Trigger, field)
	require.NoError(t, err)
	recorded, err := b.events.Record(t.Context(), event, func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		decisions := accept(event, candidates)
		decisions[0].Parameters = json.RawMessage(`{"token": "***"}`)
		decisions[0].Sealed, err = ring.SealEnforcement(event.ID, decisions[0].RuleID, decisions[0].ActionID, []attune.SecretField{
			{Pointer: "/token", Value: json.RawMessage(`"hunter2"`)},
		})
		require.NoError(t, err)
		return decisions
	})
	require.NoError(t, err)
	require.JSONEq(t, `{"token": "***"}`, string(recorded.Enforcements[0].Parameters))

	store := postgres.NewSecrets(b.db)
	token := "a token"
	_, err = secrets.NewVault(ring, store, store).Set(t.Context(), secrets.Change{
		Name: "TOKEN", Value: &token, Packs: &[]string{"demo"}, Author: sam,
	})
	require.NoError(t, err)

	message := b.request(t, b.admit(t, recorded.Enforcements[0].ID)[0])
	decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claimOf(message, "worker-1")}, lease)
	require.NoError(t, err)
	require.JSONEq(t, `{"token": "***"}`, string(decisions[0].Input.Parameters))
	require.NoError(t, secrets.NewResolver(ring, store).Resolve(t.Context(), decisions))
	require.Empty(t, decisions[0].Input.Refusal)
	require.JSONEq(t, `{"token": "hunter2"}`, string(decisions[0].Input.Parameters))
	require.Equal(t, []string{"/token"}, decisions[0].Input.SecretParameters)
	require.Equal(t, map[string]string{"TOKEN": token}, decisions[0].Input.Secrets)

	newRing, _ := keyring(t, oldKey)
	moved := 0
	for from, calls := "", 0; calls == 0 || from != ""; calls++ {
		done, err := secrets.NewVault(newRing, store, store).Rotate(t.Context(), from)
		require.NoError(t, err)
		require.Zero(t, done.Failed, done.Error)
		moved, from = moved+done.Moved, done.Next
	}
	require.Equal(t, 3, moved, "the identities of the rows are those with which they were sealed")
	for _, table := range attune.SealedTables() {
		rows, err := store.SealedRows(t.Context(), table, 0, 10)
		require.NoError(t, err)
		for _, row := range rows {
			require.Equal(t, newRing.First(), secrets.KeyOf(row.Sealed), table)
		}
	}
	require.Equal(t, event.Payload, b.event(t, recorded.Event.ID).Payload)
}

// event reads an event.
func (b *bundle) event(t *testing.T, id attune.EventID) attune.Event {
	t.Helper()
	event, err := b.events.Get(t.Context(), id)
	require.NoError(t, err)
	return event
}
