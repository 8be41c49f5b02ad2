package supervise

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestAction sends actions to themselves: a supervisor reads the same texts that the worker has written, with any bytes in them.
func TestAction(t *testing.T) {
	t.Parallel()

	t.Run("an action comes back unchanged", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.Map(rapid.SliceOfN(rapid.ByteRange(1, 255), 0, 50_000), func(b []byte) string { return string(b) })
			want := Action{
				Path: text.Draw(t, "path"), Args: rapid.SliceOfN(text, 1, 4).Draw(t, "args"),
				Env: rapid.SliceOfN(text, 0, 4).Draw(t, "env"), Dir: text.Draw(t, "dir"),
				Confined: rapid.Bool().Draw(t, "confined"),
			}
			if rapid.Bool().Draw(t, "as another user") {
				want.User = &User{
					UID: rapid.Uint32().Draw(t, "uid"), GID: rapid.Uint32().Draw(t, "gid"), Processes: rapid.IntRange(0, 1<<20).Draw(t, "processes"),
					Groups: rapid.SliceOfN(rapid.Uint32(), 0, 4).Draw(t, "groups"),
				}
			}
			commands, err := want.Run(1)
			require.NoError(t, err)
			var sent []byte
			for _, c := range commands[:len(commands)-1] {
				require.LessOrEqual(t, len(c), chunkSize)
				require.EqualValues(t, kindChunk, c[0])
				sent = append(sent, c[1:]...)
			}
			require.EqualValues(t, kindRun, commands[len(commands)-1][0])
			got, ok := parseAction(sent)
			require.True(t, ok)
			require.Equal(t, want.Path, got.Path)
			require.Equal(t, want.Dir, got.Dir)
			require.Equal(t, want.User, got.User)
			require.Equal(t, want.Confined, got.Confined)
			require.Equal(t, want.Args, got.Args)
			require.ElementsMatch(t, want.Env, got.Env)
		})
	})

	t.Run("a zero byte is refused", func(t *testing.T) {
		t.Parallel()
		_, err := Action{Path: "/bin/true", Args: []string{"true", "a\x00b"}}.Run(1)
		require.Error(t, err)
	})

	t.Run("other bytes are no action", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			action, ok := parseAction(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
			require.True(t, !ok || len(action.Args) > 0, "%+v", action)
		})
	})
}

// TestReport sends reports to themselves.
func TestReport(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Exit{Status: 0x7f00, Overdue: rapid.Bool().Draw(t, "overdue"), Gone: rapid.Bool().Draw(t, "gone")}
		got, ok := Report(want.report()).Exited()
		require.True(t, ok)
		require.Equal(t, want, got)
		n := rapid.Int64().Draw(t, "number")
		require.Equal(t, n, newMessage(kindDeadline, n).value())
	})
}

// TestReadProcess reads a process whose name looks like the rest of a line of /proc.
func TestReadProcess(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `printf 'x) Z 1 1 (' > /proc/$$/comm; echo; read line`)
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	_, err = stdout.Read(make([]byte, 1))
	require.NoError(t, err)

	p, ok, err := readProcess(cmd.Process.Pid, nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, os.Getpid(), p.Parent)
	require.False(t, p.Ended())
	require.NoError(t, stdin.Close())
	_ = cmd.Wait()
	_, ok, err = readProcess(cmd.Process.Pid, nil)
	require.NoError(t, err)
	require.False(t, ok)
}

// TestProcess_activity reads processes with one thread, with several, and without the first one.
func TestProcess_activity(t *testing.T) {
	t.Parallel()
	stopped := exec.CommandContext(t.Context(), "sleep", "1000")
	require.NoError(t, stopped.Start())
	require.NoError(t, stopped.Process.Signal(syscall.SIGSTOP))
	of := func(pid int) activity {
		p, ok, err := readProcess(pid, nil)
		require.NoError(t, err)
		require.True(t, ok)
		return p.activity()
	}
	require.Eventually(t, func() bool { return of(stopped.Process.Pid) == halted }, time.Minute, time.Millisecond)
	require.NoError(t, stopped.Process.Signal(syscall.SIGCONT))
	require.Eventually(t, func() bool { return of(stopped.Process.Pid) == active }, time.Minute, time.Millisecond)
	require.NoError(t, stopped.Process.Kill())
	require.Eventually(t, func() bool { return of(stopped.Process.Pid) == halted }, time.Minute, time.Millisecond)
	_ = stopped.Wait()

	require.Equal(t, active, of(os.Getpid()), "the thread that asks runs")
	self, ok, err := readProcess(os.Getpid(), nil)
	require.NoError(t, err)
	require.True(t, ok)
	require.Greater(t, self.Threads, 1)
	self.State = 'Z'
	require.False(t, self.Ended(), "the other threads of a process whose first thread has ended run")
	self.Threads = 1
	require.True(t, self.Ended())
}
