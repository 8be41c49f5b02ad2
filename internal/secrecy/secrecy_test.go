package secrecy_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/internal/secrecy"
)

// hiddenVariable makes the test program a process that protects itself and waits for the end of its stdin.
const hiddenVariable = "SECRECY_TEST_HIDDEN"

// plainVariable keeps that process from protecting itself.
const plainVariable = "SECRECY_TEST_PLAIN"

func TestMain(m *testing.M) {
	if os.Getenv(hiddenVariable) == "" {
		os.Exit(m.Run())
	}
	if os.Getenv(plainVariable) == "" {
		if err := secrecy.Protect(); err != nil {
			panic(err)
		}
	}
	_, _ = os.Stdout.WriteString(os.Getenv("SECRECY_TEST_SECRET") + "\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// TestProtect starts a protected process.
func TestProtect(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can hide a process")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = []string{hiddenVariable + "=yes", "SECRECY_TEST_SECRET=swordfish", "PLAIN", "EMPTY="}
	inherited, err := os.Open(program)
	require.NoError(t, err)
	t.Cleanup(func() { _ = inherited.Close() })
	cmd.ExtraFiles = []*os.File{inherited} // descriptor 3
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() })
	t.Cleanup(func() { _ = stdin.Close() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "swordfish\n", line, "the process itself still knows the value")

	folder := "/proc/" + strconv.Itoa(cmd.Process.Pid)
	limits, err := os.ReadFile(folder + "/limits")
	require.NoError(t, err)
	require.Regexp(t, `Max core file size\s+0\s+0 `, string(limits), "the soft and the hard limit")
	var owner syscall.Stat_t
	require.NoError(t, syscall.Stat(folder+"/environ", &owner))
	require.Zero(t, owner.Uid, "the kernel gives the files of a process that is not dumpable to root")
	if os.Getuid() != 0 {
		_, err := os.ReadFile(folder + "/environ")
		require.ErrorIs(t, err, os.ErrPermission)
		return
	}
	block, err := os.ReadFile(folder + "/environ")
	require.NoError(t, err)
	require.Contains(t, string(block), "SECRECY_TEST_SECRET=\x00")
	require.NotContains(t, string(block), "swordfish", "root does not find the value either")
	descriptor, err := os.ReadFile(folder + "/fdinfo/3")
	require.NoError(t, err)
	const closeOnExec = `flags:\s+02\d{6}\n`
	require.Regexp(t, closeOnExec, string(descriptor), "no program that the process starts gets the file")
}

// TestUnreadableProgram starts programs that do not protect themselves, as a user that may or may not read the program file.
func TestUnreadableProgram(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || os.Getuid() != 0 {
		t.Skip("NOT SHOWN: only root starts a program as another user")
	}
	uid := uint32(1<<30 + os.Getpid())
	for mode, owner := range map[os.FileMode]uint32{0o711: 0, 0o755: uid} {
		program := filepath.Join(t.TempDir(), "program")
		require.NoError(t, os.Chmod(filepath.Dir(filepath.Dir(program)), 0o755))
		require.NoError(t, os.Chmod(filepath.Dir(program), 0o755))
		content, err := os.ReadFile("/proc/self/exe")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(program, content, mode))
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `exec "$0"`, program)
		cmd.Env = []string{hiddenVariable + "=yes", plainVariable + "=yes"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		stdin, err := cmd.StdinPipe()
		require.NoError(t, err)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		_, err = bufio.NewReader(stdout).ReadString('\n')
		require.NoError(t, err, "the program runs")
		var file syscall.Stat_t
		require.NoError(t, syscall.Stat("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/environ", &file))
		require.Equal(t, owner, file.Uid, "mode %o", mode)
		require.NoError(t, stdin.Close())
		require.NoError(t, cmd.Wait())
	}
}

// TestEnvironment takes a variable out of the environment.
func TestEnvironment(t *testing.T) { //nolint:paralleltest // it changes the environment of the process
	t.Setenv("SECRECY_TEST_TAKEN", "swordfish")
	environment := secrecy.CopyEnvironment()
	require.NoError(t, environment.Take("SECRECY_TEST_TAKEN", "SECRECY_TEST_UNSET"))
	_, found := os.LookupEnv("SECRECY_TEST_TAKEN")
	require.False(t, found)
	value, found := environment.Lookup("SECRECY_TEST_TAKEN")
	require.True(t, found)
	require.Equal(t, "swordfish", value)
	_, found = environment.Lookup("SECRECY_TEST_UNSET")
	require.False(t, found)
}
