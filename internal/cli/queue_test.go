package cli_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/cli"
)

const apiToken = "0123456789abcdef0123456789abcdef"

// attuneAPI is an API with one queue, in which one ticket has been executed and another waits.
type attuneAPI struct {
	mu       sync.Mutex
	changing int // how many more readings of the counts differ from the reading before
	stats    attune.QueueStats
	more     []attune.QueueStats // further queues of the list
	tickets  []attune.Enforcement
	grants   []api.Grant
	changes  []api.QueueChange
	lanes    []api.Lane        // the first lanes; nil in a queue without lanes
	actions  []api.QueueAction // of a shared queue

	enforcement api.Enforcement // the one with the id 31
}

func newAttuneAPI() *attuneAPI {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	later := noon.Add(time.Second)
	return &attuneAPI{
		stats: attune.QueueStats{
			Queue: "shop.deploy", Mode: attune.QueueOpen, QueueLength: 1, MaxConcurrent: 1, TotalEnqueued: 2, TotalCompleted: 1,
		},
		tickets: []attune.Enforcement{
			{ID: 12, Queue: "shop.deploy", Sequence: 2, Status: attune.EnforcementQueued, QueuedAt: &later},
			{ID: 11, Queue: "shop.deploy", Sequence: 1, Status: attune.EnforcementExecuted, QueuedAt: &noon, GrantNumber: 1},
		},
		grants: []api.Grant{{
			Number: 1, Enforcement: 11, Sequence: 1, Attempt: 1, Limit: 1, Revision: 1,
			RequestedAt: noon, ReleasedAt: &later, Outcome: attune.ExecutionSucceeded,
		}},
		changes: []api.QueueChange{{Number: 1, At: noon, Author: authorNamed("sam", "freeze"), Kind: attune.ChangeMode, From: "open", To: "paused"}},
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
		body = api.List[attune.QueueStats]{Items: append([]attune.QueueStats{a.stats}, a.more...)}
	case r.URL.Path == "/api/v1/queues/shop.deploy":
		if a.changing > 0 {
			a.changing--
			a.stats.LastUpdated = new(time.Unix(int64(a.changing), 0).UTC())
		}
		body = a.detail()
	case r.URL.Path == "/api/v1/enforcements/31":
		body = a.enforcement
	case r.URL.Path == "/api/v1/queues/shop.deploy/grants":
		body = api.List[api.Grant]{Items: a.grants}
	case r.URL.Path == "/api/v1/queues/shop.deploy/lanes":
		body = a.lanePage(r.URL.Query().Get("limit"))
	case r.URL.Path == "/api/v1/queues/shop.deploy/policies":
		body = api.List[attune.QueuePolicy]{Items: []attune.QueuePolicy{{Revision: 1, Limit: 1}}}
	case r.URL.Path == "/api/v1/queues/shop.deploy/starts", r.URL.Path == "/api/v1/limiters", r.URL.Path == "/api/v1/limiters/log",
		r.URL.Path == "/api/v1/quotas":
		body = api.List[attune.Start]{}
	case r.URL.Path == "/api/v1/queues/shop.deploy/changes":
		body = api.List[api.QueueChange]{Items: a.changes}
	case r.URL.Path == "/api/v1/enforcements" && r.URL.Query().Get("queue") == "shop.deploy":
		body = api.List[attune.Enforcement]{Items: a.tickets}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
	_ = json.NewEncoder(w).Encode(body)
}

// lanePage is the first page of the lanes. More lanes follow a full page.
func (a *attuneAPI) lanePage(limit string) api.List[api.Lane] {
	page := api.List[api.Lane]{Items: append([]api.Lane{}, a.lanes...)}
	if limit == strconv.Itoa(len(a.lanes)) {
		page.Next = "more"
	}
	return page
}

// detail is the queue with two holders, one waiting ticket, and a history.
func (a *attuneAPI) detail() api.Queue {
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	until := noon.Add(time.Hour)
	var holds, waits *string
	if a.lanes != nil {
		holds, waits = new(a.lanes[0].Key), new("")
	}
	return api.Queue{
		QueueStats: a.stats, Actions: a.actions, At: noon, Limit: api.QueueLimit{InForce: 1, From: "by hand", Until: &until},
		Policy: api.QueuePolicy{Revision: 3, Fields: []api.PolicyField{
			{Name: "limit", Value: json.RawMessage(`2`), From: "pack shop"},
			{Name: "max_queued", Value: json.RawMessage(`50`), From: "default", Next: json.RawMessage(`60`)},
			{Name: "overflow", Value: json.RawMessage(`"reject"`), From: "default"},
			{Name: "queue_timeout", Value: json.RawMessage(`"0s"`), From: "action shop.deploy"},
			{Name: "max_attempts", Value: json.RawMessage(`3`), From: "global"},
			{Name: "retry_delay", Value: json.RawMessage(`"1s"`), From: "default"},
			{Name: "retry_placement", Value: json.RawMessage(`"hold"`), From: "default"},
		}},
		Holders: []api.QueueHolder{
			{
				Enforcement: 9, Key: holds, Sequence: 1, GrantNumber: 1, Execution: 5, Attempt: 2, Status: attune.ExecutionRunning, Worker: "w1",
				Age: 61.5, LeaseUntil: new(noon.Add(48 * time.Second)), Expect: "Its worker ends it.",
			},
			{Enforcement: 10, Sequence: 2, GrantNumber: 2, Age: 3, Expect: "It is leaked."},
		},
		Waiting:    []api.QueueWaiter{{Position: 1, Enforcement: 12, Key: waits, Sequence: 3, Attempt: 1, QueuedAt: noon, Wait: 90}},
		Parked:     2,
		OldestWait: 90, Throughput: api.Throughput{Minute: 2, Five: 1.5, Hour: 0.25},
		HoldTime: &api.HoldTime{P50: 1.5, P95: 9, Grants: 400, Since: noon},
		EmptyIn: &api.Estimate{
			Low: attune.Duration(time.Second), Likely: attune.Duration(2 * time.Second), High: attune.Duration(3 * time.Second),
			Waits: 40,
		},
	}
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
		"QUEUE", "MODE", "WAITING", "ACTIVE", "LIMIT", "ADMITTED", "RELEASED", "DROPPED", "shop.deploy", "open", "1", "0", "1", "2", "1", "0",
	}, strings.Fields(stdout))
}

func TestQueueShow(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := attuneQueue(t, newAttuneAPI(), "show", "shop.deploy")
	require.Zero(t, code, stderr)
	require.Empty(t, cmp.Diff(`queue      shop.deploy
mode       open
limit      1, manual override until 2030-01-02 13:00:00 UTC
active     0 of 1
waiting    1, the first for 1m30s
parked     2, waiting for a person
admitted   2
released   1
dropped    0
pace       2.0 a minute in the last minute, 1.5 in the last 5, 0.2 in the last 60
hold time  median 1.5s, p95 9s (latest 400 slots, since 2030-01-02 12:00:00 UTC)
empty in   about 2s (1s to 3s in nine of ten cases; checked on 40 recorded waits), without new arrivals

POLICY (revision 3)  VALUE   FROM
limit                2       pack shop
max_queued           50      default: 60 from the next admitted enforcement on
overflow             reject  default
queue_timeout        none    action shop.deploy
max_attempts         3       global
retry_delay          1s      default
retry_placement      hold    default

HOLDS  SEQUENCE  ENFORCEMENT  EXECUTION  ATTEMPT  STATUS   WORKER  FOR     LEASE  NEXT
1      1         9            5          2        running  w1      1m1.5s  48s    Its worker ends it.
2      2         10           0          0        -        -       3s      -      It is leaked.

WAITS  SEQUENCE  ENFORCEMENT  ATTEMPT  SINCE                    FOR
1      3         12           1        2030-01-02 12:00:00 UTC  1m30s

GRANT  SEQUENCE  ENFORCEMENT  ATTEMPT  LIMIT  REQUESTED                HELD  OUTCOME
1      1         11           1        1      2030-01-02 12:00:00 UTC  1s    succeeded

CHANGE  AT                       BY   WHAT  FROM  TO      WHY
1       2030-01-02 12:00:00 UTC  sam  mode  open  paused  freeze
`, stdout))

	code, stdout, stderr = attuneQueue(t, newAttuneAPI(), "show", "shop.deploy", "--output", "json")
	require.Zero(t, code, stderr)
	var shown struct {
		Queue   api.Queue
		Grants  []api.Grant
		Changes []api.QueueChange
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	a := newAttuneAPI()
	require.Empty(t, cmp.Diff(a.detail(), shown.Queue))
	require.Empty(t, cmp.Diff(a.grants, shown.Grants))
	require.Empty(t, cmp.Diff(a.changes, shown.Changes))
}

func TestQueue_Usage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"show"}, {"verify", "a", "b"}, {"list", "a"}, {"list", "--url", "127.0.0.1:8080"}, {"list", "--api-token-file", "/nowhere"},
		{"show", "a", "--lines", "0"}, {"lanes"}, {"lanes", "a", "--lines", "501"}, {"show", "a", "--output", "yaml"},
	} {
		code, _, stderr := attuneQueue(t, newAttuneAPI(), args...)
		require.Equal(t, 2, code, "%v: %s", args, stderr)
	}
}

func TestQueueShow_Lanes(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	a.lanes = []api.Lane{
		{Number: 2, Key: "eu\twest", Waiting: 3, Active: 1, Granted: 9, OldestAt: new(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))},
		{Number: 1, Key: "(none)", Granted: 4}, {Number: 3},
	}
	code, stdout, stderr := attuneQueue(t, a, "show", "shop.deploy")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, `
HOLDS  SEQUENCE  ENFORCEMENT  KEY      EXECUTION  ATTEMPT  STATUS   WORKER  FOR     LEASE  NEXT
1      1         9            eu west  5          2        running  w1      1m1.5s  48s    Its worker ends it.
2      2         10           -        0          0        -        -       3s      -      It is leaked.

WAITS  SEQUENCE  ENFORCEMENT  KEY  ATTEMPT  SINCE                    FOR
1      3         12           ""   1        2030-01-02 12:00:00 UTC  1m30s
`)

	code, stdout, stderr = attuneQueue(t, a, "lanes", "shop.deploy", "--lines", "3")
	require.Zero(t, code, stderr)
	require.Empty(t, cmp.Diff(`LANE  KEY      WAITING  ACTIVE  GRANTED  SINCE
2     eu west  3        1       9        2030-01-02 12:00:00 UTC
1     (none)   0        0       4        -
3     ""       0        0       0        -
… and more
`, stdout))
	code, stdout, stderr = attuneQueue(t, a, "lanes", "shop.deploy", "--output", "json")
	require.Zero(t, code, stderr)
	var shown []api.Lane
	require.NoError(t, json.Unmarshal([]byte(stdout), &shown))
	require.Empty(t, cmp.Diff(a.lanes, shown), "the JSON has the texts as they are")

	code, stdout, stderr = attuneQueue(t, newAttuneAPI(), "lanes", "shop.deploy", "--output", "json")
	require.Zero(t, code, stderr)
	require.JSONEq(t, `[]`, stdout)
}
