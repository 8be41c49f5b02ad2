package procfs_test

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/services/procfs"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("this system has no /proc")
	}

	t.Run("the processor time of a child counts as waited for after the wait", func(t *testing.T) {
		t.Parallel()
		before, ok := procfs.ReadUsage(os.Getpid())
		require.True(t, ok)
		require.NoError(t, exec.CommandContext(t.Context(), "sh", "-c", `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`).Run())
		after, ok := procfs.ReadUsage(os.Getpid())
		require.True(t, ok)
		require.Greater(t, after.Waited, before.Waited)
		require.Equal(t, after.Own+after.Waited, after.Sum())
	})

	t.Run("a family is the process and all processes below it", func(t *testing.T) {
		t.Parallel()
		grandchild := exec.CommandContext(t.Context(), "sh", "-c", `sh -c 'echo $$; read line'; true`)
		hold, err := grandchild.StdinPipe()
		require.NoError(t, err)
		stdout, err := grandchild.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, grandchild.Start())
		var pid int
		_, err = fmt.Fscan(stdout, &pid)
		require.NoError(t, err)

		require.Subset(t, procfs.Family(os.Getpid()), []int{os.Getpid(), grandchild.Process.Pid, pid})
		require.ElementsMatch(t, []int{grandchild.Process.Pid, pid}, procfs.Family(grandchild.Process.Pid))
		require.NoError(t, hold.Close())
		require.NoError(t, grandchild.Wait())
	})

	t.Run("a missing process has no usage and no family", func(t *testing.T) {
		t.Parallel()
		_, ok := procfs.ReadUsage(1 << 30)
		require.False(t, ok)
		require.Empty(t, procfs.Family(1<<30))
	})
}
