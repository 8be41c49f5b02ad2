package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/config"
)

// No print, log line or JSON document of a configuration may contain a secret.
func TestSecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()

	const token, password = "tok-0123456789abcdef", "pw-0123456789"
	c, err := load(t, layers{env: map[string]string{
		"ATTUNE_API_TOKEN":    token,
		"ATTUNE_POSTGRES_URL": "postgres://attune:" + password + "@db.example:5432/attune?sslmode=require",
		"ATTUNE_AMQP_URL":     "amqp://attune:" + password + "@mq.example:5672/",
	}})
	require.NoError(t, err)
	require.Equal(t, token, c.APIToken.Reveal())
	require.Contains(t, c.PostgresURL.Reveal(), password)

	hidden := struct{ unexported config.Config }{c} // fmt cannot call the methods of an unexported field
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", c)
		fmt.Fprintf(&out, verb+"\n", &c)
		fmt.Fprintf(&out, verb+"\n", hidden)
		fmt.Fprintf(&out, verb+"\n", c.APIToken)
		fmt.Fprintf(&out, verb+"\n", c.PostgresURL)
	}
	encoded, err := json.Marshal(c)
	require.NoError(t, err)
	out.Write(encoded)
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(handler).Info("x", "config", c, "token", c.APIToken, "url", c.AMQPURL, "hidden", fmt.Sprint(hidden))
	}

	printed := out.String()
	for _, secret := range []string{token, password, fmt.Sprintf("%x", token), fmt.Sprintf("%x", password)} {
		require.NotContains(t, printed, secret)
	}
	require.Contains(t, printed, "postgres://attune:xxxxx@db.example:5432/attune?sslmode=require", "the log shows the rest of the URL")
	require.Contains(t, printed, "[redacted]")
}

func TestURLString(t *testing.T) {
	t.Parallel()

	cases := []struct{ name, url, want string }{
		{"an unset URL is empty", "", ""},
		{"a URL without a password is unchanged", "postgres://attune@127.0.0.1/attune", "postgres://attune@127.0.0.1/attune"},
		{"a password is hidden", "postgres://attune:s3cret@127.0.0.1/attune", "postgres://attune:xxxxx@127.0.0.1/attune"},
		{"a password in the query is hidden", "postgres://127.0.0.1/attune?password=s3cret", "postgres://127.0.0.1/attune?password=xxxxx"},
		{"a text that is not a URL is hidden", "host=127.0.0.1 password=s3cret port=%zz", "[redacted]"},
		{"an opaque URL is hidden", "postgres:password=s3cret", "[redacted]"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, config.NewURL(tc.url).String())
		})
	}
}

// The error about an invalid URL must not contain the password.
func TestLoadURLErrorHidesPassword(t *testing.T) {
	t.Parallel()

	for _, url := range []string{
		"postgres://attune:s3cr%et@127.0.0.1/attune", // bad escape: net/url quotes the text in its error
		"mysql://attune:s3cret@127.0.0.1/attune",
		"host=127.0.0.1 password=s3cret",
		"postgres://attune:s3cret@127.0.0.1:99999/attune",
	} {
		_, err := load(t, layers{env: map[string]string{"ATTUNE_POSTGRES_URL": url}})
		require.ErrorContains(t, err, "ATTUNE_POSTGRES_URL: postgres.url ")
		require.NotContains(t, err.Error(), "s3cr")
	}
}
