package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv/testcerts"
	"github.com/attune-go/attune/internal/certs"
)

// tlsBundle is a bundle whose server speaks TLS, and a client that trusts it.
func tlsBundle(t *testing.T) (*bundle, *http.Client) {
	t.Helper()
	b, ca, dir := setup(t), testcerts.NewCA(t), t.TempDir()
	cert, key := ca.Issue(t, "attune")
	files, err := certs.Open(certs.Paths{Cert: testcerts.Write(t, dir, "tls.crt", cert), Key: testcerts.Write(t, dir, "tls.key", key)})
	require.NoError(t, err)
	b.config.TLS = files.Config()
	return b, &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client(t, nil), DisableKeepAlives: true}, Timeout: edgeTimeout}
}

func getStatus(t *testing.T, client *http.Client, url string) (status int, protocol string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, response.Proto
}

// TestTLS_SlowHandshakes opens connections whose callers never send their part of the handshake.
func TestTLS_SlowHandshakes(t *testing.T) {
	t.Parallel()

	t.Run("they are closed in time", func(t *testing.T) {
		t.Parallel()
		b, _ := tlsBundle(t)
		b.config.HeaderTimeout = 200 * time.Millisecond
		addr := b.listen(t)
		for range 20 {
			_, err := dribble(dial(t, addr), "\x16\x03\x01")
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return b.server(t).OpenConnections() == 0 }, edgeTimeout, 10*time.Millisecond)
	})

	t.Run("they push out each other, and no other caller", func(t *testing.T) {
		t.Parallel()
		const most, slow = 20, 100
		b, client := tlsBundle(t)
		b.config.MaxConnections, b.config.HeaderTimeout = most, edgeTimeout
		addr := b.listen(t)
		for range slow {
			dial(t, addr)
		}
		require.Eventually(t, func() bool { return b.metrics.of("limited connections") >= slow-most }, edgeTimeout, 10*time.Millisecond)
		for range 10 {
			status, protocol := getStatus(t, client, "https://"+addr+"/livez")
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "HTTP/1.1", protocol, "a connection carries one request at a time")
		}
		require.LessOrEqual(t, b.server(t).OpenConnections(), most)
	})
}

func TestTLS_PlainRequest(t *testing.T) {
	t.Parallel()
	b, _ := tlsBundle(t)
	status, _ := getStatus(t, &http.Client{Timeout: edgeTimeout}, "http://"+b.listen(t)+"/livez")
	require.Equal(t, http.StatusBadRequest, status)
}
