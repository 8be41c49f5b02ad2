package e2e_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/demo"
	"github.com/attune-go/attune/internal/queueaudit"
)

func TestMain(m *testing.M) {
	if runSnoop() {
		return
	}
	testenv.Main(m, func() { _ = os.RemoveAll(programDir) })
}

// author is the person behind every manual change.
var author = map[string]any{"on_behalf_of": "ada"}

const (
	token       = "e2e-token-of-at-least-32-characters"
	testTimeout = 3 * time.Minute // a machine that runs all other tests at the same time is slow
)

// cluster is attune for one test: its own database, vhost, namespace and pack, and processes that the test starts and
// ends.
type cluster struct {
	*client.Client
	t    *testing.T
	base string
	addr string
	pack string // the folder of the pack
	log  string // the file that the actions write
	env  []string
}

func newCluster(t *testing.T, pack map[string]string) *cluster {
	t.Helper()
	address, namespace := testenv.Temporal(t)
	c := &cluster{t: t, addr: fmt.Sprintf("127.0.0.1:%d", services.FreePort()), pack: writePack(t, pack), log: filepath.Join(t.TempDir(), "log")}
	c.base = "http://" + c.addr
	c.Client = client.New(c.base, token)
	c.env = append(os.Environ(),
		"ATTUNE_POSTGRES_URL="+testenv.Postgres(t), "ATTUNE_AMQP_URL="+testenv.AMQP(t),
		"TEMPORAL_ADDRESS="+address, "TEMPORAL_NAMESPACE="+namespace,
		"ATTUNE_BRIDGE_SIGNING_KEY="+attune.NewBridgeSigningKey(),
		"ATTUNE_HTTP_ADDR="+c.addr, "ATTUNE_API_TOKEN="+token,
		"ATTUNE_WORKER_ALLOW_ENV=e2e=E2E_LOG", "E2E_LOG="+c.log, "E2E_WEBHOOK_SECRET=swordfish-swordfish",
	)
	c.env = append(c.env, "ATTUNE_WORKER_BRIDGE_KEYS="+c.bridgeKey().Public().String())
	return c
}

// bridgeKey returns the key with which the bridges sign.
func (c *cluster) bridgeKey() attune.BridgeSigningKey {
	c.t.Helper()
	key, err := attune.ParseBridgeSigningKey(c.variable("ATTUNE_BRIDGE_SIGNING_KEY"))
	require.NoError(c.t, err)
	return key
}

// variable returns the value of an environment variable of the processes.
func (c *cluster) variable(name string) string {
	c.t.Helper()
	for _, entry := range slices.Backward(c.env) { // the last entry counts
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	require.FailNow(c.t, "missing variable "+name)
	return ""
}

func (c *cluster) dialTemporal() temporal.Client {
	c.t.Helper()
	return testenv.Dial(c.t, c.variable("TEMPORAL_ADDRESS"), c.variable("TEMPORAL_NAMESPACE"))
}

func (c *cluster) dialBroker() *amqp.Channel {
	c.t.Helper()
	conn, err := amqp.Dial(c.variable("ATTUNE_AMQP_URL"))
	require.NoError(c.t, err)
	c.t.Cleanup(func() { _ = conn.Close() })
	channel, err := conn.Channel()
	require.NoError(c.t, err)
	return channel
}

// run requests an action and returns the enforcement.
func (c *cluster) run(action string, parameters map[string]any) attune.EnforcementID {
	c.t.Helper()
	var answer struct {
		Enforcement attune.EnforcementID `json:"enforcement_id"`
	}
	require.NoError(c.t, c.Post(c.t.Context(), "/actions/"+action+"/run", map[string]any{"parameters": parameters}, &answer))
	return answer.Enforcement
}

// control pauses, resumes or drains a queue as a person.
func (c *cluster) control(queue, verb string) {
	c.t.Helper()
	require.NoError(c.t, c.change(queue, verb))
}

func (c *cluster) change(queue, verb string) error {
	return c.Post(c.t.Context(), "/queues/"+queue+"/"+verb, author, nil)
}

func (c *cluster) stats(action string) attune.QueueStats {
	c.t.Helper()
	var stats attune.QueueStats
	require.NoError(c.t, c.Get(c.t.Context(), "/actions/"+action+"/queue-stats", nil, &stats))
	return stats
}

// entry is an enforcement of an action, and its execution if one exists.
type entry struct {
	Enforcement attune.Enforcement
	Execution   *attune.Execution
}

// rows returns the enforcements and executions of an action, newest first.
func (c *cluster) rows(action string) []entry {
	c.t.Helper()
	query := url.Values{"action": {action}}
	enforcements, err := client.List[attune.Enforcement](c.t.Context(), c.Client, "/enforcements", query)
	require.NoError(c.t, err)
	byEnforcement := map[attune.EnforcementID]*attune.Execution{}
	for _, execution := range c.executions(action) {
		require.Nil(c.t, byEnforcement[execution.Enforcement], "two executions of enforcement %d", execution.Enforcement)
		byEnforcement[execution.Enforcement] = &execution
	}
	var rows []entry
	for _, e := range enforcements {
		rows = append(rows, entry{Enforcement: e, Execution: byEnforcement[e.ID]})
	}
	return rows
}

func (c *cluster) executions(action string) []attune.Execution {
	c.t.Helper()
	executions, err := client.List[attune.Execution](c.t.Context(), c.Client, "/executions", url.Values{"action": {action}})
	require.NoError(c.t, err)
	return executions
}

// executionOf returns the execution of an enforcement; the zero value if none exists.
func (c *cluster) executionOf(id attune.EnforcementID) (execution attune.Execution) {
	c.t.Helper()
	query := url.Values{"enforcement": {fmt.Sprint(id)}}
	found, err := client.List[attune.Execution](c.t.Context(), c.Client, "/executions", query)
	require.NoError(c.t, err)
	if len(found) > 0 {
		require.NoError(c.t, c.Get(c.t.Context(), fmt.Sprintf("/executions/%d", found[0].ID), nil, &execution))
	}
	return execution
}

// cancel waits until the execution of an enforcement runs, and cancels it.
func (c *cluster) cancel(id attune.EnforcementID) {
	c.t.Helper()
	var execution attune.Execution
	c.eventually("the execution runs", func() bool {
		execution = c.executionOf(id)
		return execution.Status == attune.ExecutionRunning
	})
	require.NoError(c.t, c.Post(c.t.Context(), fmt.Sprintf("/executions/%d/cancel", execution.ID), author, nil))
}

// complete waits until n slots of an action's queue were granted and released. The timeout bounds the wait for each
// release.
func (c *cluster) complete(action string, n int) {
	c.t.Helper()
	for completed := int64(-1); completed < int64(n); {
		before := completed
		c.eventually(fmt.Sprintf("more than %d of %d in the queue of %s have ended", before, n, action), func() bool {
			completed = c.stats(action).TotalCompleted
			return completed > before
		})
	}
	require.EqualValues(c.t, n, c.stats(action).TotalCompleted)
}

// finish waits until n executions of the action have ended, and requires that its queue kept every promise.
func (c *cluster) finish(action string, n, limit int) demo.Measure {
	c.t.Helper()
	c.complete(action, n)
	rows, err := queueaudit.Read(c.t.Context(), c.Client, attune.QueueKey(action), testTimeout)
	require.NoError(c.t, err)
	m := demo.MeasureQueue(rows, c.executions(action))
	require.Empty(c.t, m.Violations)
	require.Equal(c.t, n, m.Accepted)
	require.LessOrEqual(c.t, m.MaxActive, limit)
	return m
}

// eventually waits for a predicate, and prints every queue if the predicate stays false.
func (c *cluster) eventually(event string, predicate func() bool) {
	c.t.Helper()
	if !within(testTimeout, predicate) {
		queues, err := client.List[attune.QueueStats](context.Background(), c.Client, "/queues", nil)
		require.FailNow(c.t, "did not happen: "+event, "queues: %+v (%v)", queues, err)
	}
}

// within reports whether a predicate becomes true within d. Most predicates cost a request to attune and queries of its database, so
// within asks less often in a long wait.
func within(d time.Duration, predicate func() bool) bool {
	const slowest = 100 * time.Millisecond
	deadline := time.Now().Add(d)
	for pause := slowest / 5; !predicate(); pause = min(pause+pause/5, slowest) {
		if time.Now().After(deadline) {
			return false
		}
		<-time.After(pause)
	}
	return true
}

// written returns the lines that the actions wrote.
func (c *cluster) written() []string {
	c.t.Helper()
	data, err := os.ReadFile(c.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(c.t, err)
	return strings.Fields(string(data))
}

// api sends a raw request to the API with the token.
func (c *cluster) api(method, path, body string) (status int, answer string) {
	c.t.Helper()
	header := http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	return c.http(method, "/api/v1/"+path, header, body)
}

// metric sums the samples of a metric with a label, or all its samples for an empty label.
func (c *cluster) metric(name, label string) float64 {
	c.t.Helper()
	status, page := c.http(http.MethodGet, "/metrics", nil, "")
	require.Equal(c.t, http.StatusOK, status)
	sum := 0.0
	for line := range strings.Lines(page) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if of, _, _ := strings.Cut(sample, "{"); of != name || !strings.Contains(sample, label) {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		require.NoError(c.t, err, line)
		sum += n
	}
	return sum
}

// http sends a raw request and returns the status and the body. An answer that does not come in time is a failure.
func (c *cluster) http(method, path string, header http.Header, body string) (status int, answer string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), testTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response.StatusCode, string(data)
}
