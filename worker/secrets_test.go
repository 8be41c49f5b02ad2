package worker_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

func TestWorker_Secrets(t *testing.T) {
	t.Parallel()
	const token = "hunter2-and-more"

	t.Run("an action gets its secrets in the environment, and its output is masked", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.start(t)
		m := request("sh", "-c", `test "$TOKEN" = "`+token+`" || exit 9
			printf '{"token": "%s", "basic": "%s", "parameter": "%s", "user": "sam"}' "$TOKEN" "$(printf 'sam:%s' "$TOKEN" | base64)" "$(cat)"
			printf 'cut %s' "$TOKEN" >&2; exit 3`)
		m.Secrets = map[string]string{"TOKEN": token}
		m.Parameters, m.SecretParameters = json.RawMessage(`"correct horse"`), []string{""}
		got := b.do(t, m)
		require.Equal(t, attune.ReasonExitCode, got.Reason, got.Stderr)
		require.Equal(t, 3, *got.ExitCode, "the process has the clear value")
		require.Equal(t, "exit code 3: cut ***", got.Error)
		require.Equal(t, "cut ***", got.Stderr)
		whole, err := json.Marshal(got)
		require.NoError(t, err)
		require.NotContains(t, string(whole), token)
		require.NotContains(t, string(whole), "horse")
		require.NotContains(t, string(whole), base64.StdEncoding.EncodeToString([]byte("sam:" + token))[:20])
		require.Contains(t, got.Stdout, `"user": "sam"`)
	})

	t.Run("a secret that a JSON library has escaped is masked in the output and in the result", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.start(t)
		m := request("printf", "%s", `{"token":"Zq7\u002Bsecret\u0022l\u00E9","text":"{\"inner\":\"Zq7\\u002bsecret\\\"l\\u00e9\"}"}`)
		m.Secrets = map[string]string{"TOKEN": `Zq7+secret"lé`}
		got := b.do(t, m)
		require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
		require.JSONEq(t, `{"token":"***","text":"{\"inner\":\"***\"}"}`, string(got.Result))
		require.Contains(t, got.Stdout, `{"token":"***",`)
	})

	t.Run("a secret is masked where the output is cut", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.OutputLimit = 1024 })
		b.start(t)
		for _, before := range []string{"505", "511", "512"} { // the head has 512 bytes
			m := request("sh", "-c", `head -c `+before+` /dev/zero | tr '\0' x; printf '%s' "$TOKEN"; head -c 5000 /dev/zero | tr '\0' y; printf '%s' "$TOKEN"; head -c 500 /dev/zero | tr '\0' z`)
			m.Secrets = map[string]string{"TOKEN": token}
			got := b.do(t, m)
			require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
			require.True(t, got.Truncated)
			for n := len(token); n >= 4; n-- {
				require.False(t, strings.Contains(got.Stdout, token[:n]) || strings.Contains(got.Stdout, token[len(token)-n:]), got.Stdout)
			}
		}
	})

	t.Run("an action whose secrets cannot be had runs nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.start(t)
		refused := request(touch()...)
		refused.SecretsError = `action "demo.act" asks for the secret "TOKEN", which does not exist`
		got := b.do(t, refused)
		require.Equal(t, attune.ReasonSecretUnavailable, got.Reason)
		require.Equal(t, refused.SecretsError, got.Error)

		missing := request(touch()...)
		missing.Secrets, missing.Asks = map[string]string{"TOKEN": token}, []string{"OTHER"}
		got = b.do(t, missing)
		require.Equal(t, attune.ReasonSecretUnavailable, got.Reason)
		require.Contains(t, got.Error, `asks for the secret "OTHER", and the reply to the claim does not have it`)
		b.requireNothingRan(t)
	})

	t.Run("a secret takes the place of a variable of the worker", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.Environ = []string{"PATH=/usr/bin:/bin", "LANG=C"} })
		b.start(t)
		m := request("sh", "-c", `test "$LANG" = "`+token+`"`)
		m.Secrets = map[string]string{"LANG": token}
		got := b.do(t, m)
		require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
	})
}
