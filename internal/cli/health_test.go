package cli_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/cli"
)

// readiness is an API that is up, and ready if it says so.
type readiness bool

func (ready readiness) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" && !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = io.WriteString(w, r.URL.Path)
}

// attuneHealth runs `attune health` against an API whose address is in the settings file.
func attuneHealth(t *testing.T, ready readiness, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(ready)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "attune.yaml")
	require.NoError(t, os.WriteFile(file, []byte("http:\n  addr: "+server.Listener.Addr().String()+"\n"), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"health", "--config", file}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestHealth(t *testing.T) {
	t.Parallel()

	t.Run("it asks the address of the settings", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneHealth(t, true)
		require.Zero(t, code, stderr)
		require.Equal(t, "/readyz\n", stdout)
	})

	t.Run("a process that is not ready is an error", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := attuneHealth(t, false)
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "503")
	})

	t.Run("a process that is up but not ready is live", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr := attuneHealth(t, false, "--live")
		require.Zero(t, code, stderr)
		require.Equal(t, "/livez\n", stdout)
	})

	t.Run("a URL overrides the address", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := attuneHealth(t, true, "--url", "http://127.0.0.1:1")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "http://127.0.0.1:1/readyz")
	})

	t.Run("a URL without a host is a usage error", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := attuneHealth(t, true, "--url", "localhost:8080")
		require.Equal(t, 2, code)
		require.Contains(t, stderr, "--url")
	})
}
