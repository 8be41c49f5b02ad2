package doctor_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/secrets"
)

func TestOIDC(t *testing.T) {
	t.Parallel()
	const url = "https://login.example.com"
	answering := func(keys int, err error) func(context.Context) (int, error) {
		return func(context.Context) (int, error) { return keys, err }
	}
	for name, tc := range map[string]struct {
		issuer   doctor.Issuer
		severity doctor.Severity
		contains []string
	}{
		"none is configured": {doctor.Issuer{}, doctor.OK, []string{"No OpenID Connect issuer is configured"}},
		"it answers":         {doctor.Issuer{URL: url, Audience: "attune", Keys: answering(2, nil)}, doctor.OK, []string{url, "2 keys", `"attune"`}},
		"it does not answer": {
			doctor.Issuer{URL: url, Audience: "attune", Keys: answering(0, errors.New("connection refused"))}, doctor.Problem,
			[]string{url, "Its keys cannot be read: connection refused.", "oidc.issuer", "503"},
		},
		"it has no keys":      {doctor.Issuer{URL: url, Audience: "attune", Keys: answering(0, nil)}, doctor.Problem, []string{url, "no key", "jwks_uri"}},
		"no audience is set":  {doctor.Issuer{URL: url, Keys: answering(1, nil)}, doctor.Problem, []string{"no audience is set", "oidc.audience"}},
		"it answers too late": {doctor.Issuer{URL: url, Keys: answering(0, context.Canceled)}, doctor.Problem, []string{"Its keys cannot be read"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			findings := runCheck(t, doctor.OIDC(tc.issuer))
			require.Len(t, findings, 1)
			require.Equal(t, tc.severity, findings[0].Severity)
			for _, words := range tc.contains {
				require.Contains(t, findings[0].Where+" "+findings[0].What+" "+findings[0].Do, words)
			}
		})
	}
}

func TestSecretsKey(t *testing.T) {
	t.Parallel()
	ring := func(t *testing.T, keys ...string) *secrets.Keyring {
		t.Helper()
		parsed, err := secrets.ParseKeyring(strings.Join(keys, ","))
		require.NoError(t, err)
		return parsed
	}
	first, older := strings.Repeat("01", 32), strings.Repeat("02", 32)
	firstID, olderID := ring(t, first).First(), ring(t, older).First()
	check := func(t *testing.T, keys doctor.Keyring, uses ...attune.KeyUse) []doctor.Finding {
		t.Helper()
		return runCheck(t, doctor.SecretsKey(keys, func(context.Context) ([]attune.KeyUse, error) { return uses, nil }))
	}

	t.Run("a key that the process does not have is a problem that names it", func(t *testing.T) {
		t.Parallel()
		for _, keys := range []*secrets.Keyring{ring(t), ring(t, first)} {
			findings := check(t, keys, attune.KeyUse{Key: olderID, Secrets: 1, Events: 2, Enforcements: 3})
			require.Len(t, findings, 1)
			require.Equal(t, doctor.Problem, findings[0].Severity)
			require.Equal(t, "key "+olderID, findings[0].Where)
			require.Contains(t, findings[0].What, "1 secret, the secret fields of 2 events and the secret parameters of 3 enforcements have the key "+olderID)
			require.Contains(t, findings[0].Do, "secrets.key_file")
		}
	})

	t.Run("values with an older key are a note", func(t *testing.T) {
		t.Parallel()
		findings := check(t, ring(t, first, older), attune.KeyUse{Key: olderID, Secrets: 2}, attune.KeyUse{Key: firstID, Secrets: 1})
		require.Len(t, findings, 1)
		require.Equal(t, doctor.Note, findings[0].Severity)
		require.Contains(t, findings[0].Do, "attune secret rotate-key")
	})

	t.Run("the right keys, and no values, are no problem", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, "Every encrypted value has the key "+firstID+".", check(t, ring(t, first, older), attune.KeyUse{Key: firstID})[0].What)
		require.Equal(t, doctor.OK, check(t, ring(t))[0].Severity)
	})
}
