package packs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
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

	t.Run("a file that cannot be read is named", func(t *testing.T) {
		t.Parallel()
		_, err := packs.ReadPolicy(filepath.Join(t.TempDir(), "none.yaml"))
		require.ErrorContains(t, err, "none.yaml: cannot be read")
	})
}
