package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/demo"
	"github.com/attune-go/attune/internal/ledger"
	"github.com/attune-go/attune/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m, func() { _ = os.RemoveAll(programDir) }) }

// by is who changes something by hand.
var by = map[string]any{"by": "ada"}

const (
	token    = "e2e-token-of-at-least-32-characters"
	patience = 3 * time.Minute // a machine that runs every other test at the same time is slow
)

// programDir is where program has put attune; empty before.
var programDir string

// program builds attune once.
var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "attune-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "attune")
	build := exec.Command("go", "build", "-o", path, "../cmd/attune")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build attune: %w\n%s", err, out)
	}
	return path, nil
})

// cluster is attune for one test: its own database, vhost and namespace, a pack, and processes started and ended at will.
type cluster struct {
	*client.Client
	t    *testing.T
	base string
	addr string
	pack string // its folder
	log  string // what the actions write while they run
	env  []string
}

func newCluster(t *testing.T, pack map[string]string) *cluster {
	t.Helper()
	address, namespace := testenv.Temporal(t)
	c := &cluster{t: t, addr: freeAddress(t), pack: writePack(t, pack), log: filepath.Join(t.TempDir(), "log")}
	c.base = "http://" + c.addr
	c.Client = client.New(c.base, token)
	c.env = append(os.Environ(),
		"ATTUNE_POSTGRES_URL="+testenv.Postgres(t), "ATTUNE_AMQP_URL="+testenv.AMQP(t),
		"TEMPORAL_ADDRESS="+address, "TEMPORAL_NAMESPACE="+namespace,
		"ATTUNE_HTTP_ADDR="+c.addr, "ATTUNE_API_TOKEN="+token,
		"E2E_LOG="+c.log, "E2E_WEBHOOK_SECRET=swordfish",
	)
	return c
}

// process is one running attune.
type process struct {
	cmd    *exec.Cmd
	output *bytes.Buffer
	done   chan struct{}
}

// start runs `attune serve` and returns when it says that it runs.
func (c *cluster) start(args ...string) *process {
	c.t.Helper()
	path, err := program()
	require.NoError(c.t, err)
	p := &process{output: new(bytes.Buffer), done: make(chan struct{})}
	p.cmd = exec.Command(path, append([]string{"serve", "--data-dir", c.t.TempDir(), "--packs", c.pack}, args...)...)
	p.cmd.Env = c.env
	stderr, err := p.cmd.StderrPipe()
	require.NoError(c.t, err)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(c.t, p.cmd.Start())
	running := make(chan struct{})
	go func() {
		defer close(p.done)
		p.watch(stderr, running)
		_ = p.cmd.Wait()
	}()
	c.t.Cleanup(p.stop)
	select {
	case <-running:
	case <-p.done:
		require.FailNow(c.t, "attune did not start", p.output.String())
	case <-time.After(patience):
		p.kill()
		require.FailNow(c.t, "attune did not say that it runs", p.output.String())
	}
	return p
}

// watch keeps what the process says, and notices when it says that it runs.
func (p *process) watch(stderr io.Reader, running chan struct{}) {
	chunk := make([]byte, 4096)
	said := false
	for {
		n, err := stderr.Read(chunk)
		p.output.Write(chunk[:n])
		if !said && strings.Contains(p.output.String(), "attune runs") {
			said = true
			close(running)
		}
		if err != nil {
			return
		}
	}
}

// stop asks the process to end and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// run runs an action and returns the enforcement.
func (c *cluster) run(action string, parameters map[string]any) attune.EnforcementID {
	c.t.Helper()
	var answer struct {
		Enforcement attune.EnforcementID `json:"enforcement_id"`
	}
	require.NoError(c.t, c.Post(c.t.Context(), "/actions/"+action+"/run", map[string]any{"parameters": parameters}, &answer))
	return answer.Enforcement
}

func (c *cluster) stats(action string) attune.QueueStats {
	c.t.Helper()
	var stats attune.QueueStats
	require.NoError(c.t, c.Get(c.t.Context(), "/actions/"+action+"/queue-stats", nil, &stats))
	return stats
}

// entry is an enforcement of an action, and its execution if it has one.
type entry struct {
	Enforcement attune.Enforcement
	Execution   *attune.Execution
}

// rows returns what is stored about an action, newest first.
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

// finish waits until n executions of the action have ended and requires that its queue kept every promise.
func (c *cluster) finish(action string, n, limit int) demo.Measure {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d executions of %s have ended", n, action), func() bool { return c.stats(action).TotalCompleted == int64(n) })
	rows, err := ledger.Read(c.t.Context(), c.Client, attune.QueueKey(action), patience)
	require.NoError(c.t, err)
	m := demo.MeasureQueue(rows, c.executions(action))
	require.Empty(c.t, m.Violations)
	require.Equal(c.t, n, m.Accepted)
	require.LessOrEqual(c.t, m.MaxActive, limit)
	return m
}

// eventually waits for a predicate and prints every queue if it never comes true.
func (c *cluster) eventually(what string, predicate func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(patience)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for !predicate() {
		if time.Now().After(deadline) {
			queues, err := client.List[attune.QueueStats](context.Background(), c.Client, "/queues", nil)
			require.FailNow(c.t, "never came true: "+what, "queues: %+v (%v)", queues, err)
		}
		<-ticker.C
	}
}

// written returns the lines that the actions have written.
func (c *cluster) written() []string {
	c.t.Helper()
	data, err := os.ReadFile(c.log)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(c.t, err)
	return strings.Fields(string(data))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	return listener.Addr().String()
}

// attune runs a command to its end and returns its exit code and what it printed.
func (c *cluster) attune(args ...string) (code int, output string) {
	c.t.Helper()
	path, err := program()
	require.NoError(c.t, err)
	cmd := exec.CommandContext(c.t.Context(), path, args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.ErrorAs(c.t, err, new(*exec.ExitError), "%s", out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// http sends a raw request and returns the status and the body.
func (c *cluster) http(method, path string, header http.Header, body string) (status int, answer string) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	require.NoError(c.t, err)
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	return response.StatusCode, string(data)
}
