package postgres_test

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/secrets"
)

// TestEncrypted records encrypted secrets of an event and its enforcement, and gives them another key.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ring, oldKey := keyring(t)
	event := b.login(t, ring, "hunter2")
	recorded, err := b.events.Record(t.Context(), event, func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		decisions := accept(event, candidates)
		decisions[0].Parameters = json.RawMessage(`{"token": "***"}`)
		var err error
		decisions[0].Encrypted, err = ring.EncryptParameters(event.ID, decisions[0].RuleID, candidates[0].Action.Ref, []attune.SecretField{
			{Pointer: "/token", Value: json.RawMessage(`"hunter2"`)},
		})
		require.NoError(t, err)
		return decisions
	})
	require.NoError(t, err)
	require.Equal(t, event.ID, recorded.Event.ID)
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
	require.Empty(t, decisions[0].Input.SecretsError)
	require.JSONEq(t, `{"token": "hunter2"}`, string(decisions[0].Input.Parameters))
	require.Equal(t, []string{"/token"}, decisions[0].Input.SecretParameters)
	require.Equal(t, map[string]string{"TOKEN": token}, decisions[0].Input.Secrets)

	uses, err := store.KeyUses(t.Context())
	require.NoError(t, err)
	require.Equal(t, []attune.KeyUse{{Key: ring.First(), Secrets: 1, Events: 1, Enforcements: 1}}, uses)
	newRing, _ := keyring(t, oldKey)
	moved := 0
	for from, calls := "", 0; calls == 0 || from != ""; calls++ {
		done, err := secrets.NewVault(newRing, store, store).Rotate(t.Context(), from)
		require.NoError(t, err)
		require.Zero(t, done.Failed, done.Error)
		moved, from = moved+done.Moved, done.Next
	}
	require.Equal(t, 3, moved, "the identities of the rows are those with which they were encrypted")
	for _, table := range attune.EncryptedTables() {
		rows, err := store.EncryptedRows(t.Context(), table, 0, 10)
		require.NoError(t, err)
		require.Len(t, rows, 1, table)
		for _, row := range rows {
			require.Equal(t, newRing.First(), secrets.KeyOf(row.Encrypted), table)
		}
	}
	uses, err = store.KeyUses(t.Context())
	require.NoError(t, err)
	require.Equal(t, []attune.KeyUse{{Key: newRing.First(), Secrets: 1, Events: 1, Enforcements: 1}}, uses)
	require.Equal(t, event.Payload, b.event(t, recorded.Event.ID).Payload)
}

// TestEncrypted_Events keeps the secret fields of events for good, and bound to their events.
func TestEncrypted_Events(t *testing.T) {
	t.Parallel()

	// stored returns the secret fields of every event as they are stored.
	stored := func(t *testing.T, b *bundle) []attune.EncryptedRow {
		t.Helper()
		rows, err := postgres.NewSecrets(b.db).EncryptedRows(t.Context(), attune.EncryptedEvents, 0, 10)
		require.NoError(t, err)
		return rows
	}
	decrypt := func(t *testing.T, ring *secrets.Keyring, row attune.EncryptedRow) string {
		t.Helper()
		value, err := ring.Decrypt(row.Encrypted, append([]string{string(row.Table)}, row.Bound...)...)
		require.NoError(t, err)
		return string(value)
	}

	t.Run("they outlive the enforcement, and another key", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ring, oldKey := keyring(t)
		recorded, err := b.events.Record(t.Context(), b.login(t, ring, "hunter2"), accept)
		require.NoError(t, err)
		b.finish(t, reportOf(b.request(t, b.admit(t, recorded.Enforcements[0].ID)[0])))
		rows := stored(t, b)
		require.Len(t, rows, 1)
		require.EqualValues(t, recorded.Event.ID, rows[0].ID)
		require.JSONEq(t, `[{"pointer": "/password", "value": "hunter2"}]`, decrypt(t, ring, rows[0]))

		newRing, newKey := keyring(t, oldKey)
		store := postgres.NewSecrets(b.db)
		done, err := secrets.NewVault(newRing, store, store).Rotate(t.Context(), "events:0")
		require.NoError(t, err)
		require.Zero(t, done.Failed, done.Error)
		require.Equal(t, 1, done.Moved)
		onlyNew, err := secrets.ParseKeyring(newKey)
		require.NoError(t, err)
		require.JSONEq(t, `[{"pointer": "/password", "value": "hunter2"}]`, decrypt(t, onlyNew, stored(t, b)[0]))
	})

	t.Run("those of another event of the same trigger cannot be decrypted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ring, oldKey := keyring(t)
		for _, password := range []string{"hunter2", "hunter3"} {
			_, err := b.events.Record(t.Context(), b.login(t, ring, password), accept)
			require.NoError(t, err)
		}
		_, err := b.conn(t).Exec(t.Context(), `UPDATE events e SET encrypted = o.encrypted FROM events o WHERE o.id <> e.id
			AND o.encrypted IS NOT NULL AND e.encrypted IS NOT NULL`)
		require.NoError(t, err)
		newRing, _ := keyring(t, oldKey)
		store := postgres.NewSecrets(b.db)
		done, err := secrets.NewVault(newRing, store, store).Rotate(t.Context(), "events:0")
		require.NoError(t, err)
		require.Zero(t, done.Moved)
		require.Equal(t, 4, done.Failed, "both events, and both enforcements, whose test value is not encrypted")
		require.Contains(t, done.Error, "of table events: an encrypted value cannot be decrypted")
	})

	t.Run("an event without secret fields has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		_, err := b.events.Record(t.Context(), attune.Event{Trigger: pushed, Payload: json.RawMessage(`{}`), Source: attune.SourceWebhook}, accept)
		require.NoError(t, err)
		require.Empty(t, stored(t, b))
	})
}

// TestEncrypted_UntilTheEnd keeps the encrypted parameters of an enforcement while a person can retry it, and removes them with its end.
// The other tests of this package give every enforcement such parameters, and a constraint of the table refuses an end that keeps
// them.
func TestEncrypted_UntilTheEnd(t *testing.T) {
	t.Parallel()
	const kept = `SELECT count(*) FROM enforcements WHERE encrypted IS NOT NULL`

	t.Run("a parked enforcement keeps them for a retry", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, _ := b.parked(t)
		require.EqualValues(t, 1, b.count(t, kept))
		_, err := b.enforcements.Retry(t.Context(), ticket.Enforcement, ada)
		require.NoError(t, err)
		require.EqualValues(t, 1, b.count(t, kept))
	})

	t.Run("one that is given up has none", func(t *testing.T) {
		t.Parallel()
		b := setupRetries(t, attune.RetryPark)
		ticket, _ := b.parked(t)
		_, err := b.enforcements.GiveUp(t.Context(), ticket.Enforcement, ada)
		require.NoError(t, err)
		require.Zero(t, b.count(t, kept))
	})

	t.Run("one that was executed has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.finish(t, reportOf(b.requested(t, 1)[0]))
		require.Zero(t, b.count(t, kept))
	})

	t.Run("one that is rejected at once has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		action, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		decision := decisionTo(action)
		decision.Status, decision.Reason = attune.EnforcementRejected, attune.ReasonCriteriaFailed
		b.decide(t, decision)
		require.Zero(t, b.count(t, kept))
	})
}

// login returns an event to record, with an encrypted secret field.
func (b *bundle) login(t *testing.T, ring *secrets.Keyring, password string) attune.Event {
	t.Helper()
	event := attune.Event{Trigger: pushed, Payload: json.RawMessage(`{"password": "***"}`), Source: attune.SourceWebhook}
	var err error
	event.ID, err = b.events.ReserveID(t.Context())
	require.NoError(t, err)
	event.Encrypted, err = ring.EncryptPayload(event.ID, event.Trigger, []attune.SecretField{
		{Pointer: "/password", Value: json.RawMessage(strconv.Quote(password))},
	})
	require.NoError(t, err)
	return event
}

// event reads an event.
func (b *bundle) event(t *testing.T, id attune.EventID) attune.Event {
	t.Helper()
	event, err := b.events.Get(t.Context(), id)
	require.NoError(t, err)
	return event
}
