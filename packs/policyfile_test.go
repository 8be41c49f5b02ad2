package packs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/policy"
)

func TestReadPolicy(t *testing.T) {
	t.Parallel()
	read := func(t *testing.T, text string) (attune.Policy, error) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		document, err := packs.ReadPolicy(path)
		if err != nil {
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			return document, attune.Errorf(attune.CodeInvalid, "%s", strings.ReplaceAll(err.Error(), path, "P"))
		}
		return document, nil
	}

	t.Run("a document is read, alone and under the key policy", func(t *testing.T) {
		t.Parallel()
		want := attune.Policy{
			Limit: new(5), Key: new("parameters.env"),
			RetryOn: &attune.RetryOn{Statuses: []attune.ExecutionStatus{attune.ExecutionFailed}, ExitCodes: []int{75}},
		}
		for _, text := range []string{
			"limit: 5\nkey: parameters.env\nretry_on: {statuses: [failed], exit_codes: [75]}\n",
			"policy:\n  limit: 5\n  key: |\n    parameters.env\n  retry_on:\n    statuses: [failed]\n    exit_codes: [75]\n",
		} {
			document, err := read(t, text)
			require.NoError(t, err)
			require.Equal(t, want, document)
		}
	})

	t.Run("every mistake has its place", func(t *testing.T) {
		t.Parallel()
		_, err := read(t, "limit: -1\nkey: parameters.\nretries: 3\nretry_on:\n  exit_codes: [75, 0]\n")
		require.ErrorContains(t, err, "P:1:8: policy limit -1: use 0 (grants nothing) to 5000")
		require.ErrorContains(t, err, "P:2:17: key: syntax error")
		require.ErrorContains(t, err, `P:3:1: policy: unknown key "retries"`)
		require.ErrorContains(t, err, "P:5:20: policy retry_on.exit_codes[1]: 0: use 1 to 255, each once")
	})

	t.Run("a mistake that depends on the scope has its place, when the scope is known", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte("policy:\n  queue: shop.line\n  rate:\n    - {name: slow, limit: 1, window: 1s, method: delay}\n"), 0o600))
		_, err := packs.ReadPolicyFile(path, policy.ScopeGlobal)
		require.ErrorContains(t, err, path+":2:10: policy queue: a policy of the scope global joins no queue")
		require.ErrorContains(t, err, path+":4:50: rate[0].method: a rate of scope global cannot delay")
		for _, scope := range []policy.Scope{"", policy.ScopeAction} {
			_, err = packs.ReadPolicyFile(path, scope)
			require.NoError(t, err)
		}
	})

	t.Run("the server's mistakes have the places of their values", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "policy.yaml")
		require.NoError(t, os.WriteFile(path, []byte("policy:\n  rate:\n    - {name: slow, limit: 1, window: 1s, key: parameters.a}\n"), 0o600))
		file, err := packs.ReadPolicyFile(path, policy.ScopeAction)
		require.NoError(t, err)
		for location, place := range map[string]string{
			"rate[0].key": ":3:47: x", "rate[0].nothing": ":3:7: x", "queue": ":2:3: x", "": ":2:3: x",
		} {
			require.Equal(t, path+place, file.Problem(location, "x").String(), location)
		}
	})

	t.Run("a list of rates or quotas is read from a text", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{
			"[{name: slow, limit: 1, window: 1s, method: delay}]", `[{"name": "slow", "limit": 1, "window": "1s", "method": "delay"}]`,
		} {
			document, err := packs.ParseGates("rate", text)
			require.NoError(t, err)
			require.Equal(t, attune.Policy{
				Rate: []attune.Rate{{Name: "slow", Limit: 1, Window: attune.Duration(time.Second), Method: attune.RateDelay}},
			}, document)
		}
		none, err := packs.ParseGates("quota", "[]")
		require.NoError(t, err)
		require.Equal(t, attune.Policy{Quota: []attune.Quota{}}, none, "an empty list removes the quotas of the pack")
		for text, want := range map[string]string{
			"": "rate: got nothing, want a list", "5": "rate: got a number, want a list", "[{name: a}]": "rate[0].limit: 0: use 1 to 1000000",
			"[{name: a, limit: 1, window: 1s, key: parameters.}]": "syntax error", "[": "not valid YAML", "[]\nlimit: 5": "one list",
		} {
			_, err := packs.ParseGates("rate", text)
			require.ErrorContains(t, err, want, text)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		}
	})

	t.Run("a file that cannot be read is named", func(t *testing.T) {
		t.Parallel()
		_, err := packs.ReadPolicy(filepath.Join(t.TempDir(), "none.yaml"))
		require.ErrorContains(t, err, "none.yaml: cannot be read")
	})
}
