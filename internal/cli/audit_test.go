package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/internal/cli"
)

func auditEntries() []auth.AuditEntry {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	return []auth.AuditEntry{
		{ID: 2, At: noon, Action: "token.create", Subject: "a\nb", RequestID: "r-2", Remote: "192.0.2.1", Status: 401, Omitted: 7},
		{
			ID: 3, At: noon, Principal: &attune.Principal{Name: "ci", Method: attune.AuthOIDC}, Role: auth.RoleOperator,
			Action: "queue.resume", Subject: "demo.deploy", RequestID: "r-3", Remote: "192.0.2.7", Status: 200,
		},
		{
			ID: 1, At: noon, Principal: &attune.Principal{Name: "ci", Method: attune.AuthToken}, Role: auth.RoleOperator, Token: "abcdefgh",
			Action: "queue.pause", Subject: "demo.deploy", OnBehalfOf: "ada", Note: "the disk is full", RequestID: "r-1", Remote: "192.0.2.9",
		},
	}
}

// attuneAudit runs `attune audit`, and returns the requests that the API received.
func attuneAudit(t *testing.T, args ...string) (code int, stdout, stderr string, requests []string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.URL.RequestURI())
		_ = json.NewEncoder(w).Encode(api.List[auth.AuditEntry]{Items: auditEntries(), Next: "more"})
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(apiToken+"\n"), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"audit", "--url", server.URL, "--api-token-file", file}, args...), &out, &errs)
	return code, out.String(), errs.String(), requests
}

func TestAuditList(t *testing.T) {
	t.Parallel()

	t.Run("the latest entries are one page for people", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, requests := attuneAudit(t, "list")
		require.Zero(t, code, stderr)
		require.Equal(t, []string{"/api/v1/audit?limit=50"}, requests)
		require.Empty(t, cmp.Diff(`AT                       WHO         ROLE      TOKEN     ACTION        SUBJECT      STATUS    FROM       REQUEST  WHY
2030-01-02 12:00:00 UTC  -           -         -         token.create  a b          401 (+7)  192.0.2.1  r-2      
2030-01-02 12:00:00 UTC  oidc:ci     operator  -         queue.resume  demo.deploy  200       192.0.2.7  r-3      
2030-01-02 12:00:00 UTC  ci for ada  operator  abcdefgh  queue.pause   demo.deploy  ?         192.0.2.9  r-1      the disk is full
`, stdout))
	})

	t.Run("a program reads the entries that it asks for", func(t *testing.T) {
		t.Parallel()
		code, stdout, stderr, requests := attuneAudit(t, "list", "--lines", "3", "--principal", "ci", "--action", "queue.pause",
			"--subject", "demo.deploy", "--output", "json")
		require.Zero(t, code, stderr)
		require.Equal(t, []string{"/api/v1/audit?action=queue.pause&limit=3&principal=ci&subject=demo.deploy"}, requests)
		var entries []auth.AuditEntry
		require.NoError(t, json.Unmarshal([]byte(stdout), &entries))
		require.Equal(t, auditEntries(), entries)
	})

	t.Run("an impossible number of lines is refused", func(t *testing.T) {
		t.Parallel()
		code, _, stderr, requests := attuneAudit(t, "list", "--lines", "501")
		require.Equal(t, 2, code)
		require.Contains(t, stderr, "--lines 501: use 1 to 500")
		require.Empty(t, requests)
	})
}
