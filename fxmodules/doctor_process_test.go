package fxmodules_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/cli"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/postgres/postgrestest"
)

const (
	testTimeout = 3 * time.Minute // bounds every wait
	tick        = 100 * time.Millisecond
)

const token = "token-of-at-least-32-characters-for-tests"

// plantSQL creates a stalled queue of core.echo, and a leaked slot in the queue of core.noop.
const plantSQL = `
INSERT INTO queues (key, action_id, policy, last_sequence, last_queued_at, freed_at)
SELECT ref, id, '{"revision": 1, "limit": 2, "max_queued": 10000, "overflow": "reject", "queue_timeout": "0s", "max_attempts": 1,
	"retry_delay": "10s", "retry_placement": "hold"}', 1, now() - interval '1 hour', now() - interval '1 hour'
FROM actions WHERE ref IN ('core.echo', 'core.noop');
INSERT INTO events (trigger_id, payload, source, principal, auth_method, on_behalf_of, note)
SELECT t.id, '{}', 'manual', 'ada', 'token', '', '' FROM triggers t, generate_series(1, 2) WHERE t.ref = 'core.manual';
INSERT INTO enforcements (event_id, action_id, parameters, status, queue_id, sequence, created_at, queued_at)
SELECT (SELECT min(id) FROM events), action_id, '{}', 'queued', id, 1, n.at, n.at
FROM (SELECT now() - interval '1 hour' AS at) n, queues WHERE key = 'core.echo';
INSERT INTO enforcements (event_id, action_id, parameters, status, queue_id, sequence, created_at, queued_at, grant_number, granted_at)
SELECT (SELECT max(id) FROM events), action_id, '{}', 'granted', id, 1, n.at, n.at, 1, n.at
FROM (SELECT now() - interval '1 hour' AS at) n, queues WHERE key = 'core.noop'`

// TestDoctor creates a stall and a leak in a running attune with real services. The doctor, its exit code and the metrics
// must show both, and the steps of docs/operations.md must repair both. The test is not parallel: it configures Temporal
// by environment variables.
func TestDoctor(t *testing.T) {
	address, namespace := testenv.Temporal(t)
	t.Setenv("TEMPORAL_ADDRESS", address)
	t.Setenv("TEMPORAL_NAMESPACE", namespace)
	url := postgrestest.URL(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(t.Context()) })
	base := start(t, map[string]string{
		"ATTUNE_POSTGRES_URL": url, "ATTUNE_AMQP_URL": testenv.AMQP(t), "ATTUNE_HTTP_ADDR": "127.0.0.1:0",
		"ATTUNE_API_TOKEN": token, "ATTUNE_DATA_DIR": t.TempDir(),
	})
	requireHealthy(t, base)

	_, err = conn.Exec(t.Context(), plantSQL)
	require.NoError(t, err)
	var code int
	var diagnosis doctor.Diagnosis
	require.Eventually(t, func() bool { // the doctor may also report busy services
		code, diagnosis = runDoctor(t, base)
		return slices.Equal(problems(diagnosis), []string{"stalled queues", "leaked slots"})
	}, testTimeout, tick, "%+v", &diagnosis)
	require.Equal(t, 1, code)
	for _, where := range []string{"queue core.echo", "queue core.noop, enforcement 2"} {
		require.Contains(t, marshal(t, diagnosis), strconv.Quote(where))
	}
	require.Eventually(t, func() bool {
		samples := metrics(t, base)
		return strings.Contains(samples, "\nattune_slots_leaked 1\n") &&
			strings.Contains(samples, "\nattune_queue_stalled{queue=\"core.echo\"} 1\n") &&
			strings.Contains(samples, "\nattune_queue_stalled{queue=\"core.noop\"} 0\n")
	}, testTimeout, tick)

	// The steps of the page for each problem.
	page, err := os.ReadFile("../docs/operations.md")
	require.NoError(t, err)
	found := regexp.MustCompile("(?s)### Slots leaked.*?```sql\n(.*?)```").FindSubmatch(page)
	require.NotNil(t, found)
	_, err = conn.Exec(t.Context(), strings.ReplaceAll(string(found[1]), "id = 31", "id = 2"))
	require.NoError(t, err)
	c := client.New(base, token)
	for _, change := range []string{"pause", "resume"} {
		require.NoError(t, c.Post(t.Context(), "/queues/core.echo/"+change, map[string]string{"on_behalf_of": "test"}, nil))
	}
	requireHealthy(t, base)
	var verified bytes.Buffer
	require.Eventually(t, func() bool {
		verified.Reset()
		return cli.Main(withToken(t, "queue", "verify", "core.echo", "--url", base), &verified, &verified) == 0
	}, testTimeout, tick, "%s", &verified)
}

// requireHealthy waits until the doctor finds no problem.
func requireHealthy(t *testing.T, base string) {
	t.Helper()
	var diagnosis doctor.Diagnosis
	require.Eventually(t, func() bool {
		var code int
		code, diagnosis = runDoctor(t, base)
		return code == 0
	}, testTimeout, tick, "%+v", &diagnosis)
	require.Empty(t, problems(diagnosis))
}

// start runs attune with all roles until the test ends, and returns the URL of its API.
func start(t *testing.T, env map[string]string) string {
	t.Helper()
	cfg, err := config.Load(nil, func(name string) (string, bool) { value, ok := env[name]; return value, ok })
	require.NoError(t, err)
	log := slog.New(slog.NewTextHandler(testenv.Output(t), &slog.HandlerOptions{Level: slog.LevelWarn}))
	process, err := fxmodules.Start(t.Context(), cfg, "test", log)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, process.Stop(t.Context())) })
	return "http://" + process.Addr()
}

func withToken(t *testing.T, args ...string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(token+"\n"), 0o600))
	return append(args, "--api-token-file", file)
}

// runDoctor runs `attune doctor`.
func runDoctor(t *testing.T, base string) (code int, diagnosis doctor.Diagnosis) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Main(withToken(t, "doctor", "--url", base, "--output", "json"), &out, &errs)
	require.NoError(t, json.Unmarshal(out.Bytes(), &diagnosis), "%s", &errs)
	return code, diagnosis
}

// problems returns the names of the checks that found a problem.
func problems(d doctor.Diagnosis) []string {
	var names []string
	for _, f := range d.Findings {
		if f.Severity == doctor.Problem {
			names = append(names, f.Check)
		}
	}
	return names
}

func marshal(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// metrics returns the metrics page of the process.
func metrics(t *testing.T, base string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/metrics", http.NoBody)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer func() { require.NoError(t, response.Body.Close()) }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return string(body)
}
