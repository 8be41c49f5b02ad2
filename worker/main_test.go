package worker_test

import (
	"context"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// victimEnv makes the test program a worker that runs one action in the given folder and waits to be killed.
const victimEnv = "WORKER_TEST_VICTIM"

func TestMain(m *testing.M) {
	if dir := os.Getenv(victimEnv); dir != "" {
		victim(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func victim(dir string) {
	queue := &requests{queue: make(chan worker.Request, 1)}
	m := request("sh", "-c", "echo $$ > pid; exec sleep 1000")
	queue.push(m)
	w, err := worker.New(worker.Config{Name: "victim", Packs: map[string]string{"demo": dir}}, queue, &claims{},
		&reports{published: make(chan attune.ExecutionCompletedMessage, 1)}, discard())
	if err != nil {
		panic(err)
	}
	_ = w.Run(context.Background())
}

// TestWorker_Killed kills the whole worker with SIGKILL: its action must not run on while another worker may start the
// execution again.
func TestWorker_Killed(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("the parent-death signal is Linux's")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	b := &bundle{dir: t.TempDir()}
	victim := exec.Command(program)
	victim.Env = append(os.Environ(), victimEnv+"="+b.dir)
	require.NoError(t, victim.Start())
	action := b.pid(t, "pid")
	require.True(t, alive(action), strconv.Itoa(action))

	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
	requireGone(t, action)
}
