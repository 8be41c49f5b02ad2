package worker_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/worker"
)

// plainEnv is the variable of a test program that runs one test as a user without rights. Its value is "cgroup" if the user owns the
// cgroup of the program.
const plainEnv = "WORKER_TEST_PLAIN"

// plain reports whether this process runs only the test t, as a user without rights: only root may undo what the attacks of these tests
// do. If not, it runs the test in such processes: one without a cgroup, and one whose user owns its cgroup, where there is one.
func plain(t *testing.T) bool {
	t.Helper()
	if os.Getenv(plainEnv) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("NOT SHOWN: only root starts a process as another user")
	}
	uid, err := strconv.Atoi(ownUser())
	require.NoError(t, err)
	t.Run("without a cgroup", func(t *testing.T) {
		t.Parallel()
		runPlain(t, uid, nil)
	})
	t.Run("with a cgroup", func(t *testing.T) {
		t.Parallel()
		runPlain(t, uid+1<<20, ownedCgroup(t, uid+1<<20))
	})
	return false
}

// runPlain runs the test above t in a process of its own as a user, in a cgroup unless that is nil.
func runPlain(t *testing.T, uid int, cgroup *os.File) {
	t.Helper()
	dir := openFolder(t)
	require.NoError(t, os.Chown(dir, uid, uid))
	own, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(openFolder(t), "program") // the user may not enter the folder of the test program
	// Another process writes the file: a process that is just being started would keep it open here, so that it cannot be executed.
	require.NoError(t, exec.CommandContext(t.Context(), "install", "-m", "755", own, program).Run())
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+filepath.Dir(t.Name())+"$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), plainEnv+"=plain", "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	if cgroup != nil {
		cmd.Env = append(cmd.Env, plainEnv+"=cgroup")
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(cgroup.Fd())
	}
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
	if strings.Contains(string(output), "--- SKIP: "+filepath.Dir(t.Name())+" ") {
		t.Skip("NOT SHOWN: the test skips as this user")
	}
	require.Contains(t, string(output), "--- PASS: "+filepath.Dir(t.Name()))
}

// ownedCgroup returns a new cgroup that belongs to a user.
func ownedCgroup(t *testing.T, uid int) *os.File {
	t.Helper()
	parent, err := worker.OwnCgroupFolder()
	if err != nil {
		t.Skip("NOT SHOWN: no cgroup of version 2")
	}
	dir, err := os.MkdirTemp(parent, "test-") //nolint:usetesting // a cgroup
	if err != nil {
		t.Skip("NOT SHOWN: no cgroup of version 2 in which this user may create others: ", err)
	}
	t.Cleanup(func() {
		left, _ := filepath.Glob(filepath.Join(dir, "*-*"))
		for _, below := range left {
			_ = os.Remove(below)
		}
		require.NoError(t, os.Remove(dir))
	})
	for _, name := range []string{".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
		require.NoError(t, os.Chown(filepath.Join(dir, name), uid, uid))
	}
	folder, err := os.Open(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = folder.Close() })
	return folder
}
