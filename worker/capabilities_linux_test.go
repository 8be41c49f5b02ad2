package worker_test

import (
	"bytes"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// sufficient are the capabilities of a worker that runs actions as another user, by their bits in capabilities(7).
func sufficient() map[string]uintptr {
	return map[string]uintptr{
		"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7,
	}
}

// capable is a worker in another process, of a user that is not root, with some capabilities. Its actions run as a third user.
type capable struct {
	*victim
	runs   string // the folder of run folders
	output *bytes.Buffer
}

// newCapable returns a worker that runs a script. The caller starts it.
func newCapable(t *testing.T, capabilities []uintptr, script string) *capable {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("NOT SHOWN: only root starts a worker with some capabilities")
	}
	home, dir, own := openFolder(t), openFolder(t), ownUser()
	uid, err := strconv.Atoi(own)
	require.NoError(t, err)
	c := &capable{runs: filepath.Join(home, "runs"), output: &bytes.Buffer{}}
	require.NoError(t, os.Chown(home, uid, uid))
	require.NoError(t, os.Chmod(dir, 0o777))
	c.victim = &victim{bundle: &bundle{dir: dir}, cmd: exec.Command(copyOfProgram(t))}
	c.script(t, script)
	c.cmd.Env = append(os.Environ(), victimEnv+"="+dir, leaseEnv+"="+time.Hour.String(), userEnv+"="+ownUser(), runsEnv+"="+c.runs)
	c.cmd.Stderr = c.output
	c.cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}, AmbientCaps: capabilities,
	}
	return c
}

// copyOfProgram returns a copy of the test program that every user can start, and only root can read.
func copyOfProgram(t *testing.T) string {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(filepath.Join(openFolder(t), "program"), os.O_CREATE|os.O_WRONLY, 0o711)
	require.NoError(t, err)
	_, err = io.Copy(to, from)
	require.NoError(t, err)
	require.NoError(t, to.Close())
	return to.Name()
}

// start starts the worker. The end of the test ends it.
func (c *capable) start(t *testing.T) {
	t.Helper()
	for { // a process that was forked while the copy was written still has it open
		err := c.cmd.Start()
		if err == nil {
			break
		}
		require.ErrorIs(t, err, syscall.ETXTBSY)
		c.cmd = &exec.Cmd{Path: c.cmd.Path, Args: c.cmd.Args, Env: c.cmd.Env, Stderr: c.cmd.Stderr, SysProcAttr: c.cmd.SysProcAttr}
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
}

// TestWorker_Capabilities runs workers that are not root, and actions as another user.
func TestWorker_Capabilities(t *testing.T) {
	t.Parallel()
	all := slices.Sorted(maps.Values(sufficient()))

	for name, bit := range sufficient() {
		t.Run("a worker without "+name+" does not start", func(t *testing.T) {
			t.Parallel()
			c := newCapable(t, slices.DeleteFunc(slices.Clone(all), func(b uintptr) bool { return b == bit }), "true")
			c.start(t)
			require.Error(t, c.cmd.Wait())
			require.Equal(t, refusedCode, c.cmd.ProcessState.ExitCode(), c.output.String())
			require.True(t, strings.HasSuffix(c.output.String(), "with the capabilities that it lacks: "+name), c.output.String())
		})
	}

	t.Run("a worker whose actions have limits needs CAP_SYS_RESOURCE as well", func(t *testing.T) {
		t.Parallel()
		c := newCapable(t, all, "true")
		c.cmd.Env = append(c.cmd.Env, limitsEnv+"=yes")
		c.start(t)
		require.Error(t, c.cmd.Wait())
		require.True(t, strings.HasSuffix(c.output.String(), "that it lacks: CAP_SYS_RESOURCE"), c.output.String())
	})

	t.Run("an action has none of the capabilities, and leaves nothing in its run folder", func(t *testing.T) {
		t.Parallel()
		c := newCapable(t, all, `cat > /dev/null
			mkdir -p "$ATTUNE_RUN_DIR/sticky" "$ATTUNE_RUN_DIR/closed/inner"
			touch "$ATTUNE_RUN_DIR/sticky/file" "$ATTUNE_RUN_DIR/closed/inner/file"
			chmod 1777 "$ATTUNE_RUN_DIR/sticky"; chmod 0 "$ATTUNE_RUN_DIR/closed/inner" "$ATTUNE_RUN_DIR/closed" "$ATTUNE_RUN_DIR"
			grep Cap /proc/self/status | grep -v CapBnd | tr -d '\n\t' > capabilities; echo >> capabilities
			( kill -KILL $PPID && echo yes || echo no ) > killed`)
		c.start(t)
		require.Equal(t, "CapInh:0000000000000000CapPrm:0000000000000000CapEff:0000000000000000CapAmb:0000000000000000", c.read(t, "capabilities"))
		require.Equal(t, "no", c.read(t, "killed"))
		require.Eventually(t, func() bool {
			left, _ := filepath.Glob(filepath.Join(c.runs, "*", "*"))
			return len(left) == 0
		}, deadline, tick, "the run folder is removed")
	})

	t.Run("a killed worker leaves no process", func(t *testing.T) {
		t.Parallel()
		c := newCapable(t, all, "cat > /dev/null\n(setsid sh -c 'echo up > up; sleep 1000' &)\n"+forEver)
		c.start(t)
		require.Equal(t, "up", c.read(t, "up"))
		require.NotEmpty(t, runningIn(c.dir))
		require.NoError(t, c.cmd.Process.Kill())
		require.Eventually(t, func() bool { return len(runningIn(c.dir)) == 0 }, deadline, tick)
	})
}
