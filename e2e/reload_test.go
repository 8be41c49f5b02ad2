package e2e_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/attune-go/attune/devenv/testenv/testcerts"
)

// TestReload_UnderLoad replaces the token, the certificate and its key again and again, each time with a SIGHUP, while callers send
// requests over new connections. A caller whose token is refused uses the next one: it succeeds, and no other request fails.
func TestReload_UnderLoad(t *testing.T) {
	t.Parallel()
	rotations := size(5, 50)
	dir, ca := t.TempDir(), testcerts.NewCA(t)
	tokenOf := func(n int) string { return fmt.Sprintf("token-number-%d-of-the-reload-test", n) }
	write := func(n int) {
		testcerts.Write(t, dir, "token", []byte(tokenOf(n)+"\n"))
		cert, key := ca.Issue(t, fmt.Sprintf("number-%d", n))
		testcerts.Write(t, dir, "tls.crt", cert)
		testcerts.Write(t, dir, "tls.key", key)
	}
	write(0)
	testcerts.Write(t, dir, "attune.yaml", []byte("log: {level: info}\n"))
	c := newCluster(t, nil)
	c.env = append(c.env, "ATTUNE_API_TOKEN=", "ATTUNE_API_TOKEN_FILE="+filepath.Join(dir, "token"),
		"ATTUNE_HTTP_CALLER_RATE=0", "ATTUNE_HTTP_FAILURE_RATE=0") // the test sends what it can
	p := c.start("--config", filepath.Join(dir, "attune.yaml"), "--roles=api",
		"--tls-cert", filepath.Join(dir, "tls.crt"), "--tls-key", filepath.Join(dir, "tls.key"))

	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: ca.Client(t, nil), DisableKeepAlives: true}, Timeout: testTimeout}
	get := func(token string) (status int, subject string, err error) {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+c.addr+"/api/v1/queues", nil)
		if err != nil {
			return 0, "", err
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := caller.Do(request)
		if err != nil {
			return 0, "", err
		}
		_ = response.Body.Close()
		return response.StatusCode, response.TLS.PeerCertificates[0].Subject.CommonName, nil
	}
	var current atomic.Int64 // the number of the token that has surely come into force
	stopped := make(chan struct{})
	var callers errgroup.Group
	for range 3 {
		callers.Go(func() error {
			for {
				status := 0
				for n := int(current.Load()); n <= rotations && status != http.StatusOK; n++ {
					var err error
					if status, _, err = get(tokenOf(n)); err != nil || status != http.StatusOK && status != http.StatusUnauthorized {
						return fmt.Errorf("token %d: status %d: %w", n, status, err)
					}
				}
				if status != http.StatusOK {
					return fmt.Errorf("no token is accepted")
				}
				select {
				case <-stopped:
					return nil
				default:
				}
			}
		})
	}
	for n := range rotations {
		write(n + 1)
		require.NoError(t, syscall.Kill(p.PID(), syscall.SIGHUP))
		c.eventually("the new token is accepted, with the new certificate", func() bool {
			status, subject, err := get(tokenOf(n + 1))
			return err == nil && status == http.StatusOK && subject == fmt.Sprintf("number-%d", n+1)
		})
		current.Store(int64(n + 1))
		status, _, err := get(tokenOf(n))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnauthorized, status, "the earlier token is refused")
	}
	close(stopped)
	require.NoError(t, callers.Wait())
	require.False(t, p.Ended(), p.Output())

	// What does not parse stays as it is; what parses is taken over.
	testcerts.Write(t, dir, "token", []byte("short"))
	testcerts.Write(t, dir, "attune.yaml", []byte("log: {level: debug}\n"))
	require.NoError(t, os.Remove(filepath.Join(dir, "tls.key")))
	require.NoError(t, syscall.Kill(p.PID(), syscall.SIGHUP))
	c.eventually("the log level has changed", func() bool { return strings.Contains(p.Output(), "log_level=DEBUG") })
	status, _, err := get(tokenOf(rotations))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, p.Output(), "http.token has 5 characters")
	require.Contains(t, p.Output(), "the API keeps the old ones")
	require.NotContains(t, p.Output(), tokenOf(rotations))

	testcerts.Write(t, dir, "ca.crt", ca.PEM())
	testcerts.Write(t, dir, "token", []byte(tokenOf(rotations)))
	base := "https://" + c.addr
	code, output := c.attune("queue", "list", "--url", base, "--ca", filepath.Join(dir, "ca.crt"))
	require.Zero(t, code, output)
	code, output = c.attune("queue", "list", "--url", base)
	require.Equal(t, 1, code)
	require.Contains(t, output, "Name the CA of the API's certificate with --ca")
	code, output = c.attune("health", "--url", base, "--ca", filepath.Join(dir, "ca.crt"))
	require.Zero(t, code, output)
}
