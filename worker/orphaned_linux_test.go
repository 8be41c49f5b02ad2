package worker

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/worker/supervise"
)

// touchIn is an action that writes the file "ran" into a folder.
func touchIn(t testing.TB, dir string) supervise.Action {
	t.Helper()
	path, err := exec.LookPath("sh")
	require.NoError(t, err)
	return supervise.Action{
		Path: path, Args: []string{"sh", "-c", "echo ran >> ran; while :; do sleep 0.02; done"}, Env: os.Environ(), Dir: dir,
	}
}
