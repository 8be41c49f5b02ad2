package telemetry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/telemetry"
)

// queueLines returns the samples of the queue gauges.
func queueLines(t *testing.T, tel *telemetry.Telemetry) []string {
	t.Helper()
	var lines []string
	for _, line := range scrape(t, tel) {
		if strings.HasPrefix(line, "attune_queue_") || strings.HasPrefix(line, "attune_slots_") {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestQueueGauges(t *testing.T) {
	t.Parallel()
	tel := setup(t)
	require.Empty(t, queueLines(t, tel), "there are no series before the first reading")

	tel.Metrics.QueuesRead([]attune.QueueGauge{
		{Queue: "a.b", Limit: 3, Active: 2, Waiting: 7, OldestWait: 90 * time.Second, Stalled: true},
		{Queue: "a.c", Limit: 1},
	}, 4)
	require.ElementsMatch(t, []string{
		"attune_slots_leaked 4",
		`attune_queue_depth{queue="a.b"} 7`, `attune_queue_depth{queue="a.c"} 0`,
		`attune_queue_active{queue="a.b"} 2`, `attune_queue_active{queue="a.c"} 0`,
		`attune_queue_limit{queue="a.b"} 3`, `attune_queue_limit{queue="a.c"} 1`,
		`attune_queue_stalled{queue="a.b"} 1`, `attune_queue_stalled{queue="a.c"} 0`,
		`attune_queue_oldest_wait_seconds{queue="a.b"} 90`, `attune_queue_oldest_wait_seconds{queue="a.c"} 0`,
	}, queueLines(t, tel))

	tel.Metrics.QueuesRead([]attune.QueueGauge{{Queue: "a.c", Limit: 1}}, 0)
	require.NotContains(t, strings.Join(queueLines(t, tel), "\n"), `"a.b"`, "only the last reading is exported")
	require.Contains(t, queueLines(t, tel), "attune_slots_leaked 0")

	tel.Metrics.QueuesForgotten()
	require.Empty(t, queueLines(t, tel), "an old value would look like a new one")
}

// TestQueueGaugesAreBounded reads 250 queues: the first 100 have their own series, the others share one.
func TestQueueGaugesAreBounded(t *testing.T) {
	t.Parallel()
	tel := setup(t)
	var queues []attune.QueueGauge
	for i := range 250 {
		queues = append(queues, attune.QueueGauge{
			Queue: attune.QueueKey(fmt.Sprintf("a.q%03d", i)), Limit: 2, Active: 1, Waiting: int64(i), OldestWait: time.Duration(i) * time.Second,
			Stalled: i == 0,
		})
	}
	tel.Metrics.QueuesRead(queues, 0)
	lines := queueLines(t, tel)
	require.Len(t, lines, 5*101+1)
	require.Contains(t, lines, `attune_queue_stalled{queue="a.q000"} 1`, "a stalled queue comes first, however short its line is")
	require.Contains(t, lines, `attune_queue_depth{queue="a.q151"} 151`)
	require.Contains(t, lines, fmt.Sprintf(`attune_queue_depth{queue="_other"} %d`, 150*151/2))
	require.Contains(t, lines, `attune_queue_active{queue="_other"} 150`)
	require.Contains(t, lines, `attune_queue_limit{queue="_other"} 300`)
	require.Contains(t, lines, `attune_queue_stalled{queue="_other"} 0`)
	require.Contains(t, lines, `attune_queue_oldest_wait_seconds{queue="_other"} 150`)
}
