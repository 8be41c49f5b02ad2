package supervise

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKillOrphans kills the children that have a mark, and no other child.
func TestKillOrphans(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("NOT SHOWN: only root starts processes as another user")
	}
	first := 1<<30 + uint32(os.Getpid())*100
	start := func(uid uint32, variable string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), "sleep", "1000")
		cmd.Env = []string{variable}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		require.NoError(t, cmd.Start())
		return cmd
	}
	for _, marks := range []Marks{
		{Session: -1, UID: int64(first)},
		{Session: -1, UID: NoUID, Variable: "MARK=first"},
	} {
		marked, other := start(first, "MARK=first"), start(first+1, "MARK=other")
		require.NoError(t, KillOrphans(marks))
		_, found, err := readProcess(marked.Process.Pid, nil)
		require.NoError(t, err)
		require.False(t, found, "it was killed and reaped")
		status, err := os.ReadFile("/proc/" + number(uint32(other.Process.Pid)) + "/status")
		require.NoError(t, err)
		require.NotContains(t, strings.ToLower(string(status)), "zombie")
		require.NoError(t, other.Process.Kill())
		_ = other.Wait()
		_ = marked.Wait()
	}
}
