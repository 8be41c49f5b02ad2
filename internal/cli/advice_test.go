package cli_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv/testcerts"
)

// TestConnectionAdvice checks what a person reads who reaches the API in the wrong way.
func TestConnectionAdvice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	servers, clients, strangers := testcerts.NewCA(t), testcerts.NewCA(t), testcerts.NewCA(t)
	ca := testcerts.Write(t, dir, "ca.crt", servers.PEM())
	cert, key := strangers.Issue(t, "127.0.0.1")
	certFile, keyFile := testcerts.Write(t, dir, "x.crt", cert), testcerts.Write(t, dir, "x.key", key)
	token := testcerts.Write(t, dir, "token", []byte(apiToken))

	notFound := http.NotFoundHandler()
	serverPair := func() tls.Certificate {
		cert, key := servers.Issue(t, "127.0.0.1")
		pair, err := tls.X509KeyPair(cert, key)
		require.NoError(t, err)
		return pair
	}
	withTLS := func(config *tls.Config) string {
		server := httptest.NewUnstartedServer(notFound)
		config.MinVersion, config.Certificates = tls.VersionTLS12, []tls.Certificate{serverPair()}
		server.TLS = config
		server.StartTLS()
		t.Cleanup(server.Close)
		return server.URL
	}
	plain := func(handler http.HandlerFunc) string {
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server.URL
	}
	onlyTLS := withTLS(&tls.Config{})
	mutual := withTLS(&tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients.Pool()})
	other := plain(notFound.ServeHTTP)
	page := plain(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
	denying := plain(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"title": "Unauthorized", "detail": "the API token is wrong", "code": "unauthorized"}`))
	})
	const name = "name yours with --client-cert and --client-key"
	for _, tt := range []struct {
		name, url string
		args      []string
		code      int
		want      []string
	}{
		{"no client certificate", mutual, []string{"--ca", ca}, 1, []string{name}},
		{"a client certificate of another CA", mutual, []string{"--ca", ca, "--client-cert", certFile, "--client-key", keyFile}, 1, []string{name}},
		{"http for https", "http://" + strings.TrimPrefix(onlyTLS, "https://"), nil, 1, []string{"HTTP request to an HTTPS server", "https:// in --url"}},
		{"https for http", "https://" + strings.TrimPrefix(other, "http://"), nil, 1, []string{"http:// in --url", "--tls-cert"}},
		{"an untrusted certificate", onlyTLS, nil, 1, []string{"--ca"}},
		{"a certificate without its key", onlyTLS, []string{"--client-cert", certFile}, 2, []string{"--client-key is missing"}},
		{"a key without its certificate", onlyTLS, []string{"--client-key", keyFile}, 2, []string{"--client-cert is missing"}},
		{"the URL of another server", other, nil, 1, []string{"404 Not Found", "does not look like attune's API"}},
		{"the URL of a page", page, nil, 1, []string{"no JSON document", "does not look like attune's API"}},
		{"a wrong token", denying, nil, 1, []string{"the API token is wrong. The token comes from --api-token-file."}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := run(t, append([]string{"token", "list", "--url", tt.url, "--api-token-file", token}, tt.args...)...)
			require.Equal(t, tt.code, code, stderr)
			for _, want := range tt.want {
				require.Contains(t, stderr, want)
			}
		})
	}

	t.Run("a token of the settings file", func(t *testing.T) {
		t.Parallel()
		config := filepath.Join(t.TempDir(), "attune.yaml")
		require.NoError(t, os.WriteFile(config, []byte("http:\n  token: "+apiToken+"\n"), 0o600))
		code, _, stderr := run(t, "token", "list", "--url", denying, "--config", config)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "The token comes from the settings file")
	})

	t.Run("health over http for https", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := run(t, "health", "--url", "http://"+strings.TrimPrefix(onlyTLS, "https://"))
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "https:// in --url")
	})
}
