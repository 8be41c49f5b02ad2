package bench_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/services"
	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/e2e/program"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/internal/queueaudit"
	"github.com/attune-go/attune/proof"
	"github.com/attune-go/attune/workflows"
	"github.com/attune-go/attune/workflows/baseline"
)

const (
	token = "bench-token-of-at-least-32-characters"
	// testTimeout is the longest time without progress before the benchmark fails.
	testTimeout = 3 * time.Minute
	// workerSlots is enough for every limit.
	workerSlots = 100
)

// world is attune with its own services, and the bare engine on the same Temporal server.
type world struct {
	services *services.Set
	temporal temporal.Client
	queues   *workflows.QueueClient
	database *pgx.Conn // to another database, so that its statements do not count as attune's; of the superuser

	engine   *baseline.Engine
	starters int // the number at which the engine has its highest rate

	binary string
	addr   string
	api    *client.Client
	load   *load

	attune *program.Process // nil while attune is stopped
	log    *journal         // of the running or last attune process
}

func newWorld(b *testing.B) *world {
	b.Helper()
	set := testenv.Own(b, services.Config{
		Postgres: &services.PostgresConfig{},
		RabbitMQ: &services.RabbitMQConfig{Management: true},
		Temporal: &services.TemporalConfig{InMemory: true},
	})
	c := testenv.Dial(b, set.Temporal.Address(), temporal.DefaultNamespace)
	addr := fmt.Sprintf("127.0.0.1:%d", services.FreePort())
	w := &world{
		services: set, temporal: c, queues: workflows.NewQueueClient(c), database: connect(b, set.Postgres.AdminURL()),
		engine: baseline.NewEngine(c),
		addr:   addr, api: client.New("http://"+addr, token), load: newLoad("http://" + addr + "/api/v1/events"),
	}
	var err error
	w.binary, err = program.Build(b.Context(), b.TempDir())
	require.NoError(b, err)
	require.NoError(b, w.engine.Start())
	b.Cleanup(w.engine.Stop)
	w.starters, err = w.engine.MostProductive(b.Context())
	require.NoError(b, err)
	return w
}

// start runs attune with all its roles. The environment of the benchmark does not change its settings.
func (w *world) start(b *testing.B, args ...string) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), testTimeout)
	defer cancel()
	w.log = newJournal()
	process, err := program.Start(ctx, program.Config{
		Path: w.binary,
		Args: append([]string{
			"serve", "--data-dir", b.TempDir(), "--packs", filepath.Join("testdata", "pack"),
			"--worker-slots", strconv.Itoa(workerSlots), "--log-format", "json",
		}, args...),
		Env: []string{
			"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"),
			"ATTUNE_POSTGRES_URL=" + w.services.Postgres.URL(), "ATTUNE_AMQP_URL=" + w.services.RabbitMQ.URL(),
			"TEMPORAL_ADDRESS=" + w.services.Temporal.Address(), "TEMPORAL_NAMESPACE=" + temporal.DefaultNamespace,
			"ATTUNE_HTTP_ADDR=" + w.addr, "ATTUNE_API_TOKEN=" + token, "ATTUNE_HTTP_CALLER_RATE=0",
			"ATTUNE_BRIDGE_SIGNING_KEY=" + attune.NewBridgeSigningKey(),
		},
		Line: w.log.read,
	})
	require.NoError(b, err)
	b.Cleanup(process.Stop) // stops attune if the benchmark fails before stop
	w.attune = process
}

func (w *world) stop() {
	w.attune.Stop()
	w.attune = nil
}

// queue returns the queue of the action with the given limit.
func queue(limit int) attune.QueueKey { return attune.QueueKey(fmt.Sprintf("bench.limit%d", limit)) }

// round is n enforcements, or n bare workflows.
type round struct {
	n    int
	took time.Duration
	used usage
}

func (r round) rate() float64 { return float64(r.n) / r.took.Seconds() }

// bare runs n bare workflows.
func (w *world) bare(b *testing.B, n int) round {
	b.Helper()
	before := w.usage()
	took, err := w.engine.Run(b.Context(), n, w.starters)
	require.NoError(b, err)
	require.NoError(b, baseline.Quiet(b.Context(), w.temporal, workflows.InstallationWorkflowName))
	return round{n: n, took: took, used: w.usage().minus(before)}
}

// enforce posts n events and waits until the queue has accepted the release of every slot. The round lasts from the first
// event to the last release. To wait, enforce reads attune's log, which costs attune and its services nothing.
func (w *world) enforce(b *testing.B, limit, n int) (r round, begun time.Time) {
	b.Helper()
	before, target := w.usage(), w.log.ended.Value()+int64(n)
	begun = time.Now()
	require.NoError(b, w.load.post(b.Context(), limit, n))
	require.NoError(b, w.log.ended.Await(b.Context(), target))
	w.awaitIdle(b, limit)
	require.NoError(b, baseline.Quiet(b.Context(), w.temporal, workflows.InstallationWorkflowName))
	r = round{n: n, used: w.usage().minus(before)}
	releases, err := w.releases(b.Context(), queue(limit), begun)
	require.NoError(b, err)
	require.NotEmpty(b, releases)
	r.took = releases[len(releases)-1].at.Sub(begun)
	require.Empty(b, w.log.failed(), "some executions did not succeed")
	return r, begun
}

// awaitIdle waits until the queue has no holder and no waiter. It fails if the queue makes no progress.
func (w *world) awaitIdle(b *testing.B, limit int) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	last, moved := -1, time.Now()
	for {
		view, err := w.queues.View(b.Context(), queue(limit))
		left := view.Active + view.Waiting
		switch {
		case err == nil && left == 0:
			return
		case err == nil && left != last:
			last, moved = left, time.Now()
		}
		require.Less(b, time.Since(moved), testTimeout, "the queue makes no progress: %+v %v", view.QueueStatus, err)
		<-tick.C
	}
}

// verify checks all rows of a queue like `attune queue verify`, and returns them.
func (w *world) verify(b *testing.B, limit int) proof.Rows {
	b.Helper()
	rows, err := queueaudit.Read(b.Context(), w.api, queue(limit), testTimeout)
	require.NoError(b, err)
	report := proof.Check(rows)
	require.Empty(b, report.Violations)
	n := report.Checked
	require.Zero(b, n.Waiting+n.Active+n.Parked+n.Dropped, "some enforcements were not executed: %+v", n)
	return rows
}
