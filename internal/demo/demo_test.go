package demo_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/demo"
	"github.com/attune-go/attune/proof"
)

// attuneAPI responds to every webhook with the next enforcement of a queue that has executed all enforcements.
type attuneAPI struct {
	mu         sync.Mutex
	rows       proof.Rows
	executions []attune.Execution
	sent       int
	idle       bool // no enforcement ends
	unlisted   int  // how many enforcements the list leaves out
}

func (a *attuneAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var body any
	switch r.URL.Path {
	case "/api/v1/webhooks/" + demo.WebhookKey:
		body = attune.Recorded{Enforcements: a.rows.Enforcements[a.sent : a.sent+1]}
		a.sent++
	case "/api/v1/queues":
		stats := a.rows.Stats
		if a.idle || a.sent == 0 {
			stats.TotalCompleted = 0
		}
		body = api.List[attune.QueueStats]{Items: []attune.QueueStats{stats}}
	case "/api/v1/queues/q":
		body = a.rows.Stats
	case "/api/v1/enforcements":
		body = api.List[attune.Enforcement]{Items: a.rows.Enforcements[a.unlisted:]}
	case "/api/v1/executions":
		body = api.List[attune.Execution]{Items: a.executions}
	case "/api/v1/queues/q/grants":
		var grants []api.Grant
		for _, g := range a.rows.Grants {
			grants = append(grants, api.Grant{
				Number: g.Number, Enforcement: g.Enforcement, Sequence: g.Sequence, Attempt: g.Attempt, Limit: g.Limit,
				Revision: g.Revision, RequestedAt: g.RequestedAt, ReleasedAt: g.ReleasedAt, Outcome: g.Outcome,
			})
		}
		body = api.List[api.Grant]{Items: grants}
	case "/api/v1/queues/q/changes", "/api/v1/queues/q/policies", "/api/v1/queues/q/starts":
		body = api.List[api.QueueChange]{}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(body)
}

// run runs the demo against a and reports.
func (a *attuneAPI) run(t *testing.T, idleTimeout time.Duration) (output string, broken int, err error) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	var out bytes.Buffer
	measures, err := demo.Run(t.Context(), client.New(server.URL, ""), demo.Config{Events: 3, Live: true, IdleTimeout: idleTimeout}, &out)
	if err != nil {
		return out.String(), 0, err
	}
	broken, err = demo.Report(&out, measures)
	return out.String(), broken, err
}

// The demo decides from the rows of the API: rows of a broken promise make it fail.
func TestRun(t *testing.T) {
	t.Parallel()

	t.Run("every promise is kept", func(t *testing.T) {
		t.Parallel()
		a := new(attuneAPI)
		a.rows, a.executions = finished()
		output, broken, err := a.run(t, time.Minute)
		require.NoError(t, err, output)
		require.Zero(t, broken)
		require.Regexp(t, `(?m)^ +q +3 +3 succeeded +1 / 1 +0 +3000 ms +3000 ms +0 ms +0 ms *$`, output)
	})

	t.Run("a promise is broken", func(t *testing.T) {
		t.Parallel()
		a := new(attuneAPI)
		a.rows, a.executions = finished()
		a.rows.Grants[0].ReleasedAt = new(at(4))
		output, broken, err := a.run(t, time.Minute)
		require.NoError(t, err, output)
		require.Equal(t, 1, broken)
		require.Contains(t, output, "BROKEN  q: limit: sequence 2 grant 2: decided while 1 slots were held, at a limit of 1\n")
	})

	t.Run("an accepted enforcement has no row", func(t *testing.T) {
		t.Parallel()
		a := new(attuneAPI)
		a.rows, a.executions = finished()
		a.unlisted = 1
		_, _, err := a.run(t, time.Minute)
		require.ErrorContains(t, err, "1 enforcements that the API had recorded have no row")
	})

	t.Run("no enforcement ends", func(t *testing.T) {
		t.Parallel()
		a := &attuneAPI{idle: true}
		a.rows, a.executions = finished()
		output, _, err := a.run(t, 0)
		require.ErrorContains(t, err, "nothing has changed for 0s: 0 of 3 enforcements have ended", output)
	})
}
