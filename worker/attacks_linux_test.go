package worker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// limitEnv is the variable that makes the test program one that changes a limit of a process: "pid resource soft hard".
const limitEnv = "WORKER_TEST_LIMIT"

// The numbers of limits.
const (
	fileSize  = syscall.RLIMIT_FSIZE
	openFiles = syscall.RLIMIT_NOFILE
)

// runLimiter changes a limit if the variable says so.
func runLimiter() bool {
	text := os.Getenv(limitEnv)
	if text == "" {
		return false
	}
	var pid, resource int
	var limit syscall.Rlimit
	if _, err := fmt.Sscan(text, &pid, &resource, &limit.Cur, &limit.Max); err != nil {
		panic(err)
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(pid), uintptr(resource), uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		panic(errno)
	}
	return true
}

// limits returns a command of a shell that changes a limit of a process.
func limits(pid string, resource int, soft, hard uint64) string {
	return fmt.Sprintf(`%s="%s %d %d %d" %q`, limitEnv, pid, resource, soft, hard, os.Args[0])
}

// hardLimit returns the hard limit of this process.
func hardLimit(t *testing.T, resource int) uint64 {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(resource, &limit))
	return limit.Max
}

// TestTrees_BlindSupervisor runs actions that take away from their supervisor the right to open files. Without rights, the supervisor
// cannot get it back.
func TestTrees_BlindSupervisor(t *testing.T) {
	t.Parallel()
	if !plain(t) {
		return
	}
	blinds := limits("$PPID", openFiles, 0, 0) + " || exit 1\n"
	names := []string{"child", "daemon", "stubborn", "no-environment", "fork-bomb", "zombie-leader"}

	t.Run("a cancel ends them", func(t *testing.T) {
		t.Parallel()
		for _, name := range names {
			b := setup(t, func(c *worker.Config) { c.KillGrace, c.OutputGrace = 300*time.Millisecond, 300*time.Millisecond }).start(t)
			m := request(escape(t, b, name, blinds+"echo up > blind\n"+forEver))
			b.requests.push(m)
			require.Eventually(t, func() bool {
				_, err := os.Stat(b.path("blind"))
				return err == nil || len(b.reports.published) > 0
			}, deadline, tick, name)
			if len(b.reports.published) > 0 {
				require.Fail(t, "the action has ended", "%s: %+v", name, b.reports.next(t))
			}
			require.True(t, b.Cancel(idOf(m)))
			require.Equal(t, attune.ExecutionCancelled, b.reports.next(t).Status)
			require.Empty(t, runningIn(b.dir), name)
		}
	})

	t.Run("the death of the worker ends them", func(t *testing.T) {
		t.Parallel()
		b := &bundle{dir: t.TempDir()}
		for _, name := range names {
			escape(t, b, name, blinds+"echo up > blind-"+name+"\n"+forEver)
		}
		cmd := startWorker(t, b.dir, nil)
		var supervisors []int
		for _, name := range names {
			b.read(t, "blind-"+name)
		}
		supervisors = childrenOf(cmd.Process.Pid)
		require.NotEmpty(t, supervisors)
		require.NoError(t, cmd.Process.Kill())
		require.Eventually(t, func() bool { return len(runningIn(b.dir)) == 0 }, deadline, tick)
		for _, supervisor := range supervisors {
			requireGone(t, supervisor)
		}
	})
}

// startWorker starts a worker in another process, which runs the scripts of a folder, with further open files.
func startWorker(t *testing.T, dir string, files []*os.File) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program)
	cmd.ExtraFiles = files
	cmd.Env = append(os.Environ(), victimEnv+"="+dir, leaseEnv+"=1h", "TMPDIR="+t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// TestTrees_BlindWorker runs actions that take away from the worker the right to open files. One kills its supervisor then.
func TestTrees_BlindWorker(t *testing.T) {
	t.Parallel()
	if !alone(t) { // the worker is this process
		return
	}
	b := setup(t).start(t)
	blinds := limits(fmt.Sprint(os.Getpid()), openFiles, 0, hardLimit(t, openFiles))
	got := b.do(t, request(escape(t, b, "setsid", blinds+" || exit 1\nkill -KILL $PPID; "+forEver)))
	require.Equal(t, attune.ReasonSignal, got.Reason, got.Error)
	require.Empty(t, runningIn(b.dir))
	require.Equal(t, attune.ExecutionSucceeded, b.do(t, request("true")).Status)

	got = b.do(t, request(b.script(t, "cat > /dev/null\n"+blinds)))
	require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
	got = b.do(t, request("true"))
	require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
}

// TestTrees_BlindHunt kills processes while the worker may not open files.
func TestTrees_BlindHunt(t *testing.T) {
	t.Parallel()
	if alone(t) { // the limits are those of the process
		worker.CheckBlindHunt(t)
	}
}

// TestTrees_LimitsOfSupervisor runs actions after one that has changed the limits of its supervisor.
func TestTrees_LimitsOfSupervisor(t *testing.T) {
	t.Parallel()
	if !plain(t) {
		return
	}
	b := setup(t, func(c *worker.Config) { c.Slots = 1 }).start(t)
	show := request(b.script(t, `cat > /dev/null; ulimit -Sc; ulimit -Hc; ulimit -Sf; ulimit -Sn; echo $PPID > "supervisor-$ATTUNE_EXECUTION_ID"`))
	run := func() (limits string, supervisor int) {
		show.Execution = attune.ExecutionID(nextID.Add(1))
		got := b.do(t, show)
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
		return got.Stdout, b.pid(t, fmt.Sprintf("supervisor-%d", show.Execution))
	}
	want, first := run()
	require.Equal(t, "0\n0\n", want[:4], "no action leaves a core dump, and none can raise the limit")

	change := func(commands ...string) {
		got := b.do(t, request(b.script(t, "cat > /dev/null\nset -e\n"+strings.Join(commands, "\n"))))
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
	}
	change(limits("$PPID", fileSize, 0, hardLimit(t, fileSize)), limits("$PPID", openFiles, 7, hardLimit(t, openFiles)))
	is, second := run()
	require.Equal(t, want, is)
	require.Equal(t, first, second, "the supervisor has restored its limits")

	change(limits("$PPID", fileSize, 512, 512))
	is, third := run()
	require.Equal(t, want, is)
	require.NotEqual(t, first, third, "another supervisor, because the first one cannot raise its hard limit")

	change(limits("$PPID", openFiles, 0, 0))
	is, last := run()
	require.Equal(t, want, is)
	require.NotEqual(t, third, last)
}

// TestTrees_InheritedFiles starts a worker that has inherited files. Its actions have only stdin, stdout and stderr.
func TestTrees_InheritedFiles(t *testing.T) {
	t.Parallel()
	b := &bundle{dir: t.TempDir()}
	secret, err := os.CreateTemp(t.TempDir(), "secret")
	require.NoError(t, err)
	t.Cleanup(func() { _ = secret.Close() })
	_, err = secret.WriteString("swordfish\n")
	require.NoError(t, err)
	b.script(t, `cat > /dev/null
		for fd in 3 4 5 6 7 8 9; do ( [ -e /proc/$$/fd/$fd ] && readlink /proc/$$/fd/$fd ) >> found; done
		echo up > up`+"\n"+forEver)
	files := []*os.File{secret, secret, secret, secret, secret, secret, secret} // 3 to 9
	startWorker(t, b.dir, files)
	b.read(t, "up")
	found, err := os.ReadFile(b.path("found"))
	require.NoError(t, err)
	require.NotContains(t, string(found), filepath.Dir(secret.Name()))
}

// halts is a script that moves its supervisor into a cgroup of its own and freezes it.
const halts = `cat > /dev/null
	at=$(grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5)$(sed -n 's/^0:://p' /proc/$PPID/cgroup)/halted-$$
	mkdir "$at" && echo $PPID > "$at/cgroup.procs" && echo 1 > "$at/cgroup.freeze" || exit 1
	until grep -q 'frozen 1' "$at/cgroup.events"; do sleep 0.02; done
	`

// TestTrees_FrozenSupervisor runs actions that freeze their supervisor: it obeys neither the worker nor SIGCONT.
func TestTrees_FrozenSupervisor(t *testing.T) {
	t.Parallel()
	if !plain(t) {
		return
	}
	if os.Getenv(plainEnv) != "cgroup" {
		t.Skip("NOT SHOWN: no cgroup that this user may freeze")
	}
	start := func(t *testing.T) *bundle {
		t.Helper()
		return setup(t, func(c *worker.Config) { c.KillGrace = 300 * time.Millisecond }).start(t)
	}

	t.Run("a cancel ends the action", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"child", "no-environment", "fork-bomb"} {
			b := start(t)
			m := request(escape(t, b, name, halts+"echo up > halted\n"+forEver))
			b.requests.push(m)
			b.read(t, "halted")
			require.True(t, b.Cancel(idOf(m)))
			require.Equal(t, attune.ExecutionCancelled, b.reports.next(t).Status)
			require.Empty(t, runningIn(b.dir), name)
		}
	})

	t.Run("the timeout of an action that has ended by itself ends what is left of it", func(t *testing.T) {
		t.Parallel()
		b := start(t)
		m := request(escape(t, b, "no-environment", halts+"exit 0"))
		m.Timeout = attune.Duration(5 * time.Second)
		require.Equal(t, attune.ExecutionTimedOut, b.do(t, m).Status)
		require.Empty(t, runningIn(b.dir))
	})

	t.Run("an idle supervisor that is frozen delays the next action and the end of the worker, and does no more", func(t *testing.T) {
		t.Parallel()
		b := start(t)
		supervisor := func() int {
			got := b.do(t, request("sh", "-c", `echo $PPID`))
			require.Equal(t, attune.ExecutionSucceeded, got.Status, got.Error)
			var pid int
			_, err := fmt.Sscan(got.Stdout, &pid)
			require.NoError(t, err)
			return pid
		}
		first := supervisor()
		freeze(t, first)
		second := supervisor()
		require.NotEqual(t, first, second)
		freeze(t, second)
		require.NoError(t, b.stopped(t))
		requireGone(t, second)
	})
}

// freeze freezes a process in a cgroup of its own.
func freeze(t *testing.T, pid int) {
	t.Helper()
	parent, err := worker.OwnCgroupFolder()
	require.NoError(t, err)
	dir, err := os.MkdirTemp(parent, "halted-") //nolint:usetesting // a cgroup
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Append(nil, pid), 0))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("1"), 0))
	require.Eventually(t, func() bool {
		events, _ := os.ReadFile(filepath.Join(dir, "cgroup.events"))
		return strings.Contains(string(events), "frozen 1")
	}, deadline, tick)
}
