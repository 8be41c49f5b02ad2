package worker

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkSupervise compares a run under a supervisor with a plain start of the same program, in turns, so that both see
// the same load of the machine. It reports what the supervisor adds to a run: latency and CPU time, of all processes.
func BenchmarkSupervise(b *testing.B) {
	path, err := exec.LookPath("true")
	require.NoError(b, err)
	plain, supervised := new(costs), new(costs)
	pool := &supervisors{}
	superviseTrue(b, pool, path) // a worker starts its supervisors once
	for b.Loop() {
		plain.add(func() { plainTrue(b, path) })
		supervised.add(func() { superviseTrue(b, pool, path) })
	}
	pool.close()
	n := float64(b.N)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) / n }
	b.ReportMetric(0, "ns/op") // both together: of no use
	b.ReportMetric(ms(plain.latency), "plain-ms")
	b.ReportMetric(ms(supervised.latency), "supervised-ms")
	b.ReportMetric(ms(supervised.latency-plain.latency), "added-ms")
	b.ReportMetric(ms(plain.cpu), "plain-cpu-ms")
	b.ReportMetric(ms(supervised.cpu), "supervised-cpu-ms")
	b.ReportMetric(ms(supervised.cpu-plain.cpu), "added-cpu-ms")
}

// costs add up what runs cost.
type costs struct{ latency, cpu time.Duration }

func (c *costs) add(run func()) {
	began, before := time.Now(), cpuTime()
	run()
	c.latency += time.Since(began)
	c.cpu += cpuTime() - before
}

// cpuTime returns the CPU time of this process and of its children: those that have ended, and the supervisors.
func cpuTime() time.Duration {
	var total time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var usage syscall.Rusage
		if syscall.Getrusage(who, &usage) == nil {
			total += time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
		}
	}
	return total + supervisorTime()
}

func plainTrue(b *testing.B, path string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), path)
	stdin, err := cmd.StdinPipe()
	require.NoError(b, err)
	cmd.Stdout, cmd.Stderr = newCapture(DefaultOutputLimit), newCapture(DefaultOutputLimit)
	require.NoError(b, cmd.Start())
	_, _ = io.WriteString(stdin, "{}")
	_ = stdin.Close()
	require.NoError(b, cmd.Wait())
}

func superviseTrue(b *testing.B, pool *supervisors, path string) {
	b.Helper()
	c := command{path: path, args: []string{"true"}, env: os.Environ(), dir: "/", stdin: []byte("{}")}
	p, err := startProcess(context.WithoutCancel(b.Context()), pool, c, heldFor(time.Hour), DefaultOutputLimit)
	require.NoError(b, err)
	interrupted, _ := p.wait(b.Context(), make(chan struct{}), time.Minute, time.Minute)
	require.False(b, interrupted)
	require.Equal(b, 0, p.status.ExitStatus())
}

// supervisorTime returns the CPU time of the processes below this one that still run, with their ended children.
func supervisorTime() time.Duration {
	const ticksPerSecond = 100 // USER_HZ
	ticks := 0
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		children, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for child := range strings.FieldsSeq(string(children)) {
			stat, _ := os.ReadFile("/proc/" + child + "/stat")
			fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
			for i := 11; i <= 14 && i < len(fields); i++ {
				n, _ := strconv.Atoi(fields[i])
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}
