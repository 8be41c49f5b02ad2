package worker_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// otherUser is a user that every Linux system has.
const otherUser = "nobody"

// TestWorker_ActionsRunAsAnotherUser runs actions as a user that is not the worker's.
func TestWorker_ActionsRunAsAnotherUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs actions as another user")
	}
	open := func(t *testing.T) string { // a folder that every user can reach, also its parent
		t.Helper()
		dir := t.TempDir()
		require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755))
		return dir
	}
	start := func(t *testing.T) *bundle {
		t.Helper()
		dir := open(t)
		b := setup(t, func(c *worker.Config) { c.User, c.RunDir, c.Packs["demo"] = otherUser, open(t), dir })
		b.dir = dir
		return b.start(t)
	}
	other, err := user.Lookup(otherUser)
	require.NoError(t, err)

	t.Run("the action has the user's ids, home and run folder", func(t *testing.T) {
		t.Parallel()
		b := start(t)
		got := b.do(t, request(b.script(t, `cat > /dev/null
			echo secret > "$ATTUNE_RUN_DIR/file" && ls -ld "$ATTUNE_RUN_DIR" | cut -c1-10
			echo "$(id -u) $(id -g) $HOME $USER"`)))
		require.Equal(t, attune.ExecutionSucceeded, got.Status, "%s %s", got.Error, got.Stderr)
		require.Equal(t, "drwx------\n"+other.Uid+" "+other.Gid+" "+other.HomeDir+" "+otherUser+"\n", got.Stdout)
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

	t.Run("a worker whose packs the user cannot reach does not start", func(t *testing.T) {
		t.Parallel()
		dir := open(t)
		hidden := filepath.Join(dir, "hidden")
		require.NoError(t, os.MkdirAll(filepath.Join(hidden, "pack"), 0o700))
		_, err := worker.New(worker.Config{
			Name: "w", User: otherUser, Packs: map[string]string{"demo": filepath.Join(hidden, "pack")},
		}, &requests{}, &claims{}, &reports{}, discard())
		require.ErrorContains(t, err, `user "nobody" cannot enter folder `+hidden)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})
}

func TestNew_UnknownUser(t *testing.T) {
	t.Parallel()
	_, err := worker.New(worker.Config{Name: "w", User: "no-such-user"}, &requests{}, &claims{}, &reports{}, discard())
	require.ErrorContains(t, err, "no-such-user")
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}
