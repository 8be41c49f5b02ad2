package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv/testcerts"
)

// TestReload_FilesThatBlock puts named pipes without a writer into the places of files. A reload names each of them and ends, so that
// later reloads and the stop of the process work.
func TestReload_FilesThatBlock(t *testing.T) {
	t.Parallel()
	dir, ca := t.TempDir(), testcerts.NewCA(t)
	files := map[string]string{"token": "token-of-the-test-of-blocking-files\n", "attune.yaml": "log: {level: info}\n", "secrets.key": newKey()}
	cert, key := ca.Issue(t, "first")
	files["tls.crt"], files["tls.key"], files["ca.crt"] = string(cert), string(key), string(ca.PEM())
	place := func(name string) string { return filepath.Join(dir, name) }
	restore := func() {
		for name, content := range files {
			_ = os.Remove(place(name)) // it can be a pipe, which has no reader
			testcerts.Write(t, dir, name, []byte(content))
		}
	}
	block := func() {
		for name := range files {
			require.NoError(t, os.Remove(place(name)))
			require.NoError(t, syscall.Mkfifo(place(name), 0o600))
		}
	}
	restore()
	c := newCluster(t, nil)
	c.env = append(c.env, "ATTUNE_API_TOKEN=", "ATTUNE_API_TOKEN_FILE="+place("token"))
	p := c.start("--config", place("attune.yaml"), "--roles=api", "--secrets-key-file", place("secrets.key"),
		"--tls-cert", place("tls.crt"), "--tls-key", place("tls.key"), "--tls-client-ca", place("ca.crt"))
	reload := func() { require.NoError(t, syscall.Kill(p.PID(), syscall.SIGHUP)) }

	block()
	reload()
	c.eventually("the reload has ended", func() bool { return strings.Contains(p.Output(), "and some could not be used") })
	for _, name := range []string{"token", "attune.yaml", "secrets.key", "tls.crt"} {
		require.Contains(t, p.Output(), place(name))
	}
	restore()
	testcerts.Write(t, dir, "attune.yaml", []byte("log: {level: debug}\n"))
	reload()
	c.eventually("the next reload works", func() bool { return strings.Contains(p.Output(), "log_level=DEBUG") })

	require.NoError(t, os.Remove(place("tls.key")))
	require.NoError(t, syscall.Mkfifo(place("tls.key"), 0o600))
	reload()
	require.NoError(t, syscall.Kill(p.PID(), syscall.SIGTERM))
	c.eventually("the process has stopped", p.Ended)
	require.Contains(t, p.Output(), "attune has stopped")
}
