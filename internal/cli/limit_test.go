package cli_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/internal/cli"
)

// limitQueue runs `attune queue limit` and returns the request that it sent.
func limitQueue(t *testing.T, args ...string) (code int, request, stdout, stderr string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		request = r.Method + " " + r.URL.Path + " " + string(body)
		_ = json.NewEncoder(w).Encode(attune.QueueStatus{Queue: "shop.deploy", Mode: attune.QueueOpen, Limit: 3, Active: 1, Waiting: 2, Changes: 1})
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(apiToken), 0o600))
	var out, errs bytes.Buffer
	code = cli.Main(append([]string{"queue", "--url", server.URL, "--api-token-file", file, "limit"}, args...), &out, &errs)
	return code, request, out.String(), errs.String()
}

func TestQueueLimit(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		`PUT /api/v1/queues/shop.deploy/limit {"limit":3}`:                               {"shop.deploy", "3"},
		`POST /api/v1/queues/shop.deploy/limit/clear {}`:                                 {"shop.deploy", "--clear"},
		`PUT /api/v1/queues/shop.deploy/lanes/limit {"note":"why","key":"eu","limit":0}`: {"shop.deploy", "0", "--lane", "eu", "--note", "why"},
		`PUT /api/v1/queues/shop.deploy/lanes/limit {"key":"","limit":5}`:                {"shop.deploy", "5", "--lane", ""},
		`PUT /api/v1/queues/shop.deploy/lanes/limit {"number":7,"limit":5}`:              {"shop.deploy", "5", "--lane-number", "7"},
		`POST /api/v1/queues/shop.deploy/lanes/limit/clear {"key":"eu"}`:                 {"shop.deploy", "--lane", "eu", "--clear"},
	} {
		code, request, stdout, stderr := limitQueue(t, args...)
		require.Zero(t, code, stderr)
		require.Equal(t, want, request)
		require.Equal(t, "shop.deploy: open, limit 3, 1 active, 2 waiting, 1 manual change so far\n", stdout)
	}
	before := time.Now().Add(2 * time.Hour)
	_, request, _, _ := limitQueue(t, "shop.deploy", "3", "--until", "2h")
	var body api.LaneLimitChange
	require.NoError(t, json.Unmarshal([]byte(request[len("PUT /api/v1/queues/shop.deploy/limit "):]), &body))
	require.WithinDuration(t, before, *body.Until, time.Minute)

	for _, args := range [][]string{
		{}, {"shop.deploy"}, {"shop.deploy", "x"}, {"shop.deploy", "-1"}, {"shop.deploy", "5001"}, {"shop.deploy", "1", "2"},
		{"shop.deploy", "1", "--clear"}, {"shop.deploy", "--clear", "--until", "1h"}, {"shop.deploy", "1", "--until", "0s"},
		{"shop.deploy", "1", "--lane", "a", "--lane-number", "2"}, {"shop.deploy", "1", "--lane-number", "0"},
	} {
		code, request, _, stderr := limitQueue(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, stderr)
		require.Empty(t, request, args)
	}
}

func TestQueueShow_Shared(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	a.stats.Shared = true
	a.actions = []api.QueueAction{
		{Ref: "ops.restart", Joined: true, Waiting: 1, OldestAt: new(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))},
		{Ref: "shop.deploy", Active: 2, Limit: new(3), LimitPerKey: new(1)},
	}
	code, stdout, stderr := attuneQueue(t, a, "show", "shop.deploy")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "queue      shop.deploy (shared)\n")
	require.Contains(t, stdout, `
ACTION                  WAITING  ACTIVE  LIMIT  LIMIT PER KEY  SINCE
ops.restart             1        0       -      -              2030-01-02 12:00:00 UTC
shop.deploy (has left)  0        2       3      1              -
`)
	require.Contains(t, stdout, "HOLDS  SEQUENCE  ENFORCEMENT  ACTION")
	require.Contains(t, stdout, "WAITS  SEQUENCE  ENFORCEMENT  ACTION")
	_, stdout, _ = attuneQueue(t, a, "list")
	require.Contains(t, stdout, "shop.deploy (shared)")
}

func TestQueueLanes_ManualLimits(t *testing.T) {
	t.Parallel()
	a := newAttuneAPI()
	a.lanes = []api.Lane{
		{Number: 1, Key: "eu", Limit: new(5), Until: new(time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC))},
		{Number: 2, Key: "us", Limit: new(0)}, {Number: 3, Key: "ops.restart", Action: "ops.restart"},
	}
	code, stdout, stderr := attuneQueue(t, a, "lanes", "shop.deploy")
	require.Zero(t, code, stderr)
	require.Equal(t, `LANE  KEY          WAITING  ACTIVE  GRANTED  SINCE  MANUAL LIMIT
1     eu           0        0       0        -      5 until 2030-01-02 12:00:00 UTC
2     us           0        0       0        -      0
3     ops.restart  0        0       0        -
`, stdout)
}
