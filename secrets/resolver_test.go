package secrets_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/secrets"
)

// SecretsNamed implements [secrets.Named].
func (m *memory) SecretsNamed(_ context.Context, names []string) ([]attune.EncryptedSecret, error) {
	m.asked = append(m.asked, names)
	var found []attune.EncryptedSecret
	for _, name := range names {
		if s, ok := m.secrets[name]; ok {
			found = append(found, s)
		}
	}
	return found, m.away
}

func TestResolver(t *testing.T) {
	t.Parallel()
	keys := ring(t, newKey())
	setup := func(t *testing.T) *memory {
		t.Helper()
		store := newMemory()
		vault := secrets.NewVault(keys, store, store)
		for name, packs := range map[string][]string{"TOKEN": {"shop"}, "OTHER": {"cms"}, "SHARED": {"cms", "shop"}} {
			value := "value of " + name
			_, err := vault.Set(t.Context(), secrets.Change{Name: name, Value: &value, Packs: &packs, Author: sam})
			require.NoError(t, err)
		}
		return store
	}
	granted := func(parameters string, demand attune.SecretDemand) attune.ClaimDecision {
		return attune.ClaimDecision{
			Reply:  attune.ExecutionClaimReply{Granted: true},
			Input:  attune.ExecutionInput{Enforcement: 7, Action: "shop.deploy", Parameters: json.RawMessage(parameters)},
			Demand: demand,
		}
	}
	fields := []attune.SecretField{{Pointer: "/password", Value: json.RawMessage(`"hunter2"`)}}
	encrypted, err := keys.EncryptParameters(5, 6, "shop.deploy", fields)
	require.NoError(t, err)

	t.Run("an attempt gets the secrets of its pack and its secret parameters", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		decisions := []attune.ClaimDecision{
			granted(`{"user": "sam", "password": "***"}`, attune.SecretDemand{
				Names: []string{"TOKEN", "SHARED"}, Encrypted: encrypted, Event: 5, Rule: 6,
			}),
			granted(`{}`, attune.SecretDemand{Names: []string{"SHARED"}}),
			granted(`{"a": "***"}`, attune.SecretDemand{}),
			{Demand: attune.SecretDemand{Names: []string{"OTHER"}}},
		}
		require.NoError(t, secrets.NewResolver(keys, store).Resolve(t.Context(), decisions))
		first := decisions[0].Input
		require.Equal(t, map[string]string{"TOKEN": "value of TOKEN", "SHARED": "value of SHARED"}, first.Secrets)
		require.JSONEq(t, `{"user": "sam", "password": "hunter2"}`, string(first.Parameters))
		require.Equal(t, []string{"/password"}, first.SecretParameters)
		require.Empty(t, first.SecretsError)
		require.Equal(t, map[string]string{"SHARED": "value of SHARED"}, decisions[1].Input.Secrets)
		require.JSONEq(t, `{"a": "***"}`, string(decisions[2].Input.Parameters), "three stars can be a value of their own")
		require.Equal(t, attune.ExecutionInput{}, decisions[3].Input, "a claim that was not granted gets nothing")
		require.Equal(t, [][]string{{"SHARED", "TOKEN"}}, store.asked, "one question for the whole batch")
	})

	t.Run("an action with another reference gets no secret parameters, whatever the database says of its id", func(t *testing.T) {
		t.Parallel()
		decision := granted(`{"password": "***"}`, attune.SecretDemand{Encrypted: encrypted, Event: 5, Rule: 6})
		decision.Input.Action = "shop.leak"
		decisions := []attune.ClaimDecision{decision}
		require.NoError(t, secrets.NewResolver(keys, setup(t)).Resolve(t.Context(), decisions))
		require.Contains(t, decisions[0].Input.SecretsError, "cannot be decrypted")
		require.JSONEq(t, `{"password": "***"}`, string(decisions[0].Input.Parameters))
	})

	t.Run("without all of its secrets, an attempt gets none and a reason", func(t *testing.T) {
		t.Parallel()
		for want, demand := range map[string]attune.SecretDemand{
			`asks for the secret "NOPE", which does not exist: set it with: attune secret set NOPE --pack shop`: {Names: []string{"TOKEN", "NOPE"}},
			`asks for the secret "OTHER", which is not granted to pack "shop"`:                                  {Names: []string{"TOKEN", "OTHER"}},
			`the secret parameters of enforcement 7: an encrypted value cannot be decrypted`: {
				Names: []string{"TOKEN"}, Encrypted: encrypted, Event: 5, Rule: 7,
			},
		} {
			decisions := []attune.ClaimDecision{granted(`{"password": "***"}`, demand), granted(`{}`, attune.SecretDemand{Names: []string{"TOKEN"}})}
			require.NoError(t, secrets.NewResolver(keys, setup(t)).Resolve(t.Context(), decisions))
			require.Contains(t, decisions[0].Input.SecretsError, want)
			require.Empty(t, decisions[0].Input.Secrets)
			require.Empty(t, decisions[0].Input.SecretParameters)
			require.JSONEq(t, `{"password": "***"}`, string(decisions[0].Input.Parameters))
			require.Empty(t, decisions[1].Input.SecretsError, "one bad attempt does not fail the others")
			require.NotEmpty(t, decisions[1].Input.Secrets)
		}
	})

	t.Run("grants that were widened in the database give nothing", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		forged := store.secrets["OTHER"]
		forged.Packs = []string{"cms", "shop"}
		store.secrets["OTHER"] = forged
		decisions := []attune.ClaimDecision{granted(`{}`, attune.SecretDemand{Names: []string{"OTHER"}})}
		require.NoError(t, secrets.NewResolver(keys, store).Resolve(t.Context(), decisions))
		require.Contains(t, decisions[0].Input.SecretsError, `the secret "OTHER": an encrypted value cannot be decrypted`)
	})

	t.Run("a process without the key says so", func(t *testing.T) {
		t.Parallel()
		decisions := []attune.ClaimDecision{granted(`{}`, attune.SecretDemand{Names: []string{"TOKEN"}})}
		require.NoError(t, secrets.NewResolver(ring(t), setup(t)).Resolve(t.Context(), decisions))
		require.Contains(t, decisions[0].Input.SecretsError, "ATTUNE_SECRETS_KEY_FILE")
	})

	t.Run("an error of the store is returned", func(t *testing.T) {
		t.Parallel()
		store := setup(t)
		store.away = attune.Errorf(attune.CodeUnavailable, "away")
		decisions := []attune.ClaimDecision{granted(`{}`, attune.SecretDemand{Names: []string{"TOKEN"}})}
		require.ErrorContains(t, secrets.NewResolver(keys, store).Resolve(t.Context(), decisions), "away")
	})
}

func TestValues(t *testing.T) {
	t.Parallel()
	document := json.RawMessage(`{"a": "plain", "p": "hunter2", "o": {"n": [1.50, true, null, "deep"], "x": {"y": "deeper"}}, "z": 9}`)
	found, err := secrets.Values(document, []string{"/p", "/o", "/nope"})
	require.NoError(t, err)
	require.Equal(t, []string{"hunter2", "1.50", "deep", "deeper"}, found)
	found, err = secrets.Values(nil, nil)
	require.NoError(t, err)
	require.Empty(t, found)
	_, err = secrets.Values(json.RawMessage(`{`), []string{"/p"})
	require.Error(t, err)
}
