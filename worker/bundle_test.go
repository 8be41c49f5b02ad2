package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// deadline bounds every wait of the tests. It is long because other tests share the machine.
const deadline = 2 * time.Minute

const tick = 5 * time.Millisecond

// bundle is a worker with a pack named "demo" and fakes around it.
type bundle struct {
	*worker.Worker
	dir      string // of the pack
	requests *requests
	claims   *claims
	reports  *reports
	log      *tally
	stop     context.CancelFunc // tells Run to stop
	ended    chan error         // what Run returned
	stopTime time.Duration
}

// setup returns a worker that runs until the end of the test. Its graces are long enough never to end by chance; a test
// that waits for one shortens it.
func setup(t *testing.T, change ...func(*worker.Config)) *bundle {
	t.Helper()
	dir := t.TempDir()
	cfg := worker.Config{
		Name: "w1", Slots: 4, Packs: map[string]string{"demo": dir}, Action: actionOf,
		KillGrace: deadline, StopGrace: deadline, OutputGrace: deadline,
	}
	for _, f := range change {
		f(&cfg)
	}
	b := &bundle{
		dir:      dir,
		stopTime: cfg.StopTime(),
		requests: &requests{queue: make(chan worker.Request, 100)},
		claims:   &claims{},
		log:      &tally{counts: map[string]int{}},
		reports:  &reports{published: make(chan attune.ExecutionCompletedMessage, 100)},
		ended:    make(chan error, 1),
	}
	var err error
	b.Worker, err = worker.New(cfg, b.requests, b.claims, b.reports, slog.New(b.log))
	require.NoError(t, err)
	return b
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// start runs the worker. The end of the test ends running actions and waits for the worker.
func (b *bundle) start(t *testing.T) *bundle {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	var running sync.WaitGroup
	running.Go(func() { b.ended <- b.Run(ctx) })
	t.Cleanup(running.Wait)
	return b
}

// stopped tells the worker to stop and returns what Run returns.
func (b *bundle) stopped(t *testing.T) error {
	t.Helper()
	b.stop()
	select {
	case err := <-b.ended:
		return err
	case <-time.After(deadline):
		require.FailNow(t, "the worker did not stop", "%+v", b.log.all())
		return nil
	}
}

// script writes an executable file into the pack and returns its name as a command.
func (b *bundle) script(t *testing.T, body string) string {
	t.Helper()
	file, err := os.CreateTemp(b.dir, "action-*.sh")
	require.NoError(t, err)
	require.NoError(t, file.Close())
	require.NoError(t, os.WriteFile(file.Name(), []byte("#!/bin/sh\n"+body+"\n"), 0o755))
	require.NoError(t, os.Chmod(file.Name(), 0o755))
	return "./" + filepath.Base(file.Name())
}

// path returns the path of a file in the pack's folder, where actions run.
func (b *bundle) path(name string) string { return filepath.Join(b.dir, name) }

// read waits until a file has a whole line and returns that line.
func (b *bundle) read(t *testing.T, name string) string {
	t.Helper()
	var line string
	require.Eventually(t, func() bool {
		data, _ := os.ReadFile(b.path(name))
		var found bool
		line, _, found = strings.Cut(string(data), "\n")
		return found
	}, deadline, tick, "no process wrote %s", name)
	return line
}

// pid waits until a file contains a process id.
func (b *bundle) pid(t *testing.T, name string) int {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(b.read(t, name)))
	require.NoError(t, err)
	return pid
}

// task is a request for an action that the worker has.
type task struct {
	attune.ExecutionRequestedMessage
	Command    []string
	Env        []string
	Timeout    attune.Duration
	Parameters json.RawMessage
	Limits     attune.Limits

	Secrets          map[string]string // that the action asks for and that the reply to the claim has
	Asks             []string          // further secrets that the action asks for
	SecretParameters []string          // JSON pointers
	SecretsError     string
}

// request returns a request for a fresh execution of an action of its own in the pack "demo".
func request(command ...string) task {
	id := nextID.Add(1)
	return task{
		ExecutionRequestedMessage: attune.ExecutionRequestedMessage{
			Execution: attune.ExecutionID(id), Enforcement: 7, Action: attune.Ref(fmt.Sprintf("demo.act-%d", id)),
			Attempt: 1, Pool: "default",
		},
		Command: command, Timeout: attune.Duration(deadline),
	}
}

// actions and inputs hold the actions of all tasks by their reference, and the inputs by the id of the execution.
var actions, inputs sync.Map

// message returns the request of the task, and makes its action and its input known to the workers and fakes of all tests.
func (m task) message() attune.ExecutionRequestedMessage {
	action := attune.Action{
		Ref: m.Action, Command: m.Command, Env: m.Env, Timeout: time.Duration(m.Timeout), Pool: m.Pool, Limits: m.Limits,
		Secrets: append(slices.Sorted(maps.Keys(m.Secrets)), m.Asks...),
	}
	actions.Store(m.Action, action)
	inputs.Store(m.Execution, attune.ExecutionInput{
		Enforcement: m.Enforcement, Action: m.Action, ActionDigest: action.Digest(), Parameters: m.Parameters,
		Secrets: m.Secrets, SecretParameters: m.SecretParameters, SecretsError: m.SecretsError,
	})
	return m.ExecutionRequestedMessage
}

// actionOf returns the action of a task.
func actionOf(ref attune.Ref) (attune.Action, bool) {
	action, known := actions.Load(ref)
	if !known {
		return attune.Action{}, false
	}
	return action.(attune.Action), true
}

var nextID atomic.Int64

// do delivers one request and returns its report.
func (b *bundle) do(t *testing.T, m task) attune.ExecutionCompletedMessage {
	t.Helper()
	b.requests.push(m)
	return b.reports.next(t)
}

var errAway = attune.Errorf(attune.CodeUnavailable, "the broker is away")

// requireTally compares the counts of the log.
func (b *bundle) requireTally(t *testing.T, want map[string]int) {
	t.Helper()
	require.Equal(t, want, b.log.all())
}

// nextIn returns the next report inside a synctest bubble, where waiting costs no time.
func (b *bundle) nextIn(t *testing.T) attune.ExecutionCompletedMessage {
	t.Helper()
	select {
	case report := <-b.reports.published:
		return report
	case <-time.After(24 * time.Hour):
		require.FailNow(t, "no report was published in a day", "%+v", b.log.all())
		return attune.ExecutionCompletedMessage{}
	}
}

// alive reports whether a process runs. A zombie does not run, unless only its first thread has ended.
func alive(pid int) bool {
	if state, _, threads, ok := stat(pid); ok {
		return state != "Z" && state != "X" || threads > 1
	}
	return syscall.Kill(pid, 0) == nil
}

// groupOf lists the live members of a process group, where the system has /proc.
func groupOf(group int) (members []int) {
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if _, of, _, ok := stat(pid); ok && of == group && alive(pid) {
			members = append(members, pid)
		}
	}
	return members
}

// stat reads the state of the first thread of a process, the process group and the number of threads; see proc(5).
func stat(pid int) (state string, group, threads int, ok bool) {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0, 0, false
	}
	fields := strings.Fields(string(line[strings.LastIndexByte(string(line), ')')+1:]))
	group, err = strconv.Atoi(fields[2])
	threads, _ = strconv.Atoi(fields[17])
	return fields[0], group, threads, err == nil
}

// requireGone waits until a process has ended.
func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return !alive(pid) }, deadline, tick, "process %d is alive", pid)
}
