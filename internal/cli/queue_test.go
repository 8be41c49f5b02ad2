package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/cli"
)

const apiToken = "0123456789abcdef0123456789abcdef"

// attuneAPI answers for one queue that has executed one ticket and has another waiting.
type attuneAPI struct {
	mu      sync.Mutex
	moves   int // as many readings of the counts differ from the one before
	stats   attune.QueueStats
	tickets []attune.Enforcement
	grants  []api.Grant
	changes []api.QueueChange
}

func newAttuneAPI() *attuneAPI {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	later := noon.Add(time.Second)
	return &attuneAPI{
		stats: attune.QueueStats{Queue: "shop.deploy", QueueLength: 1, MaxConcurrent: 1, TotalEnqueued: 2, TotalCompleted: 1},
		tickets: []attune.Enforcement{
			{ID: 12, Queue: "shop.deploy", Sequence: 2, Status: attune.EnforcementQueued, QueuedAt: &later},
			{ID: 11, Queue: "shop.deploy", Sequence: 1, Status: attune.EnforcementExecuted, QueuedAt: &noon, GrantNumber: 1},
		},
		grants: []api.Grant{{
			Number: 1, Enforcement: 11, Sequence: 1, Attempt: 1, Limit: 1, Revision: 1,
			RequestedAt: noon, ReleasedAt: &later, Outcome: attune.ExecutionSucceeded,
		}},
		changes: []api.QueueChange{{Number: 1, At: noon, By: "sam", Note: "freeze", Kind: attune.ChangeMode, From: "open", To: "paused"}},
	}
}

func (a *attuneAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var body any
	switch {
	case r.Header.Get("Authorization") != "Bearer "+apiToken:
		w.WriteHeader(http.StatusUnauthorized)
	case r.URL.Path == "/api/v1/queues":
		body = api.List[attune.QueueStats]{Items: []attune.QueueStats{a.stats}}
	case r.URL.Path == "/api/v1/queues/shop.deploy":
		if a.moves > 0 {
			a.moves--
			a.stats.LastUpdated = new(time.Unix(int64(a.moves), 0).UTC())
		}
		body = a.stats
	case r.URL.Path == "/api/v1/queues/shop.deploy/grants":
		body = api.List[api.Grant]{Items: a.grants}
	case r.URL.Path == "/api/v1/queues/shop.deploy/changes":
		body = api.List[api.QueueChange]{Items: a.changes}
	case r.URL.Path == "/api/v1/enforcements" && r.URL.Query().Get("queue") == "shop.deploy":
		body = api.List[attune.Enforcement]{Items: a.tickets}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(body)
}

// attuneQueue runs `attune queue` against a.
func attuneQueue(t *testing.T, a *attuneAPI, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(apiToken+"\n"), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"queue", "--url", server.URL + "/", "--api-token-file", file}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestQueueList(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := attuneQueue(t, newAttuneAPI(), "list")
	require.Zero(t, code, stderr)
	require.Equal(t, []string{
		"QUEUE", "WAITING", "ACTIVE", "LIMIT", "ACCEPTED", "EXECUTED", "DROPPED", "shop.deploy", "1", "0", "1", "2", "1", "0",
	}, strings.Fields(stdout))
}

func TestQueueShow(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := attuneQueue(t, newAttuneAPI(), "show", "shop.deploy")
	require.Zero(t, code, stderr)
	require.Equal(t, `queue     shop.deploy
waiting   1
active    0 of 1
accepted  2
executed  1
dropped   0

GRANT  SEQUENCE  ENFORCEMENT  LIMIT  REQUESTED            HELD  OUTCOME
1      1         11           1      2030-01-02 12:00:00  1s    succeeded

CHANGE  AT                   BY   WHAT  FROM  TO      WHY
1       2030-01-02 12:00:00  sam  mode  open  paused  freeze
`, stdout)
}

func TestQueue_Usage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"show"}, {"verify", "a", "b"}, {"list", "a"}, {"list", "--url", "127.0.0.1:8080"}, {"list", "--api-token-file", "/nowhere"},
	} {
		code, _, stderr := attuneQueue(t, newAttuneAPI(), args...)
		require.Equal(t, 2, code, "%v: %s", args, stderr)
	}
}
