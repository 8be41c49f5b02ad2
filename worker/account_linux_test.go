package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// ownUser returns the id of a user that has no name and of which no other test, in this or another process, runs processes.
func ownUser() string {
	const first = 1 << 30
	return strconv.Itoa(first + os.Getpid()*100 + int(nextUser.Add(1)))
}

var nextUser atomic.Int64

// openFolder returns a folder that every user can reach, also its parent.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// TestWorker_ActionsRunAsAnotherUser runs actions as a user that is not the worker's.
func TestWorker_ActionsRunAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs actions as another user")
	}
	other := ownUser()
	start := func(t *testing.T) *bundle {
		t.Helper()
		dir := openFolder(t)
		b := setup(t, func(c *worker.Config) { c.User, c.RunDir, c.Packs["demo"] = other, openFolder(t), dir })
		b.dir = dir
		return b.start(t)
	}

	t.Run("the action has the user's ids, home and run folder", func(t *testing.T) {
		t.Parallel()
		b := start(t)
		got := b.do(t, request(b.script(t, `cat > /dev/null
			echo secret > "$ATTUNE_RUN_DIR/file" && ls -ld "$ATTUNE_RUN_DIR" | cut -c1-10
			echo "$(id -u) $(id -g) $HOME $USER"`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
		require.Equal(t, "drwx------\n"+other+" "+other+" / "+other+"\n", got.Stdout)
	})

	t.Run("the action can signal neither its supervisor nor the worker, and is ended with all that it has started", func(t *testing.T) {
		t.Parallel()
		b := start(t)
		m := request(escape(t, b, "daemon", `kill -KILL $PPID && echo yes > killed; kill -CONT `+strconv.Itoa(os.Getpid())+` && echo yes > killed; echo no >> killed; `+forEver))
		require.NoError(t, os.Chmod(b.dir, 0o777))
		b.requests.push(m)
		b.read(t, "up-daemon")
		require.Equal(t, "no", b.read(t, "killed"))
		require.True(t, b.Cancel(idOf(m)))
		require.Equal(t, attune.ExecutionCancelled, b.reports.next(t).Status)
		require.Empty(t, runningIn(b.dir))
	})

	t.Run("the action can change neither the limits of its cgroup nor its place", func(t *testing.T) {
		t.Parallel()
		got := start(t).do(t, request("sh", "-c", writableLimits))
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
		if got.Stdout == "none\n" {
			t.Skip("NOT SHOWN: no cgroup of version 2 in which the worker may create others")
		}
		require.Equal(t, "looked\n", got.Stdout, "no file that the user may write to")

		own := setup(t).start(t).do(t, request("sh", "-c", writableLimits))
		require.Contains(t, own.Stdout, "/cgroup.procs\n", "an action of the user of the worker may write to its limits")
	})

	t.Run("a worker whose packs the user cannot reach does not start", func(t *testing.T) {
		t.Parallel()
		dir := openFolder(t)
		hidden, pack, data := filepath.Join(dir, "hidden"), filepath.Join(dir, "hidden", "pack"), filepath.Join(dir, "private")
		require.NoError(t, os.MkdirAll(pack, 0o700))
		require.NoError(t, os.Mkdir(data, 0o700))
		_, err := worker.New(worker.Config{
			Name: "w", User: other, Packs: map[string]string{"demo": pack}, RunDir: filepath.Join(data, "runs"),
		}, &requests{}, &claims{}, &reports{}, discard())
		require.EqualError(t, err, fmt.Sprintf("user %q cannot enter folder %s and folder %s and folder %s, which its actions need: "+
			"chmod o+x %[2]s %[3]s %[4]s, or use other folders", other, hidden, pack, data))
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})
}

// writableLimits is a script that lists what it may write to of its cgroup and of the one above.
const writableLimits = `cat > /dev/null
	at=$(grep ' - cgroup2 ' /proc/self/mountinfo | cut -d' ' -f5)$(sed -n 's/^0:://p' /proc/self/cgroup)
	case $at in */attune-*) ;; *) echo none; exit ;; esac
	for file in "$at" "$at"/* "$at"/../cgroup.*; do [ -w "$file" ] && echo "$file"; done
	echo looked`

func TestNew_User(t *testing.T) {
	t.Parallel()
	_, err := worker.New(worker.Config{Name: "w", User: "no-such-user"}, &requests{}, &claims{}, &reports{}, discard())
	require.ErrorContains(t, err, "no-such-user")
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

// TestWorker_Limits runs actions that use more than their limits. Where the worker can enforce nothing, they do not start.
func TestWorker_Limits(t *testing.T) {
	t.Parallel()
	many := `i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i + 1)); done; echo all`

	t.Run("an action has no more memory and processes than its limits, or does not start", func(t *testing.T) {
		t.Parallel()
		b := setup(t, func(c *worker.Config) { c.Limited, c.OutputGrace = true, time.Second }).start(t)
		greedy := request("sh", "-c", `head -c 200m /dev/zero | tail -c 100m | wc -c`)
		greedy.Limits.Memory = 32 << 20
		got := b.do(t, greedy)
		if got.Reason == attune.ReasonLimits {
			require.Contains(t, got.Error, "this worker cannot enforce the limit of memory")
			require.Empty(t, got.Stdout)
			t.Skip("no cgroup of version 2 that counts memory: ", got.Error)
		}
		require.Equal(t, attune.ReasonOutOfMemory, got.Reason, got.Error)
		bomb := request("sh", "-c", many)
		bomb.Limits.Processes = 50
		got = b.do(t, bomb)
		require.NotContains(t, got.Stdout, "all")
		require.Equal(t, attune.ReasonExitCode, got.Reason, got.Error)
		require.Equal(t, attune.ExecutionSucceeded, b.do(t, request("sh", "-c", `head -c 200m /dev/zero | tail -c 100m | wc -c`)).Status)
	})

	t.Run("a user of its own has no more processes than the limit for each slot", func(t *testing.T) {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("only root runs actions as another user")
		}
		dir := openFolder(t)
		b := setup(t, func(c *worker.Config) {
			c.User, c.Packs["demo"], c.RunDir, c.OutputGrace = ownUser(), dir, filepath.Join(dir, "runs"), time.Second
		}).start(t)
		bomb := request("sh", "-c", many)
		bomb.Limits.Processes = 50
		got := b.do(t, bomb)
		require.NotContains(t, got.Stdout, "all")
		require.Equal(t, attune.ReasonExitCode, got.Reason, "%s %s", got.Error, got.Stdout)
		require.Contains(t, got.Stderr, "fork")
		got = b.do(t, request("sh", "-c", many))
		require.Contains(t, got.Stdout, "all", "an action without limits has none: %s %s", got.Error, got.Stderr)
	})
}
