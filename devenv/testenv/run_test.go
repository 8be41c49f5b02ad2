package testenv_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune/devenv/services/procfs"
	"github.com/attune-go/attune/devenv/testenv"
)

// Variables that give this test binary another role in TestRun.
const (
	// goVariable makes it the go command of a run, which starts a client per line on its standard input.
	goVariable = "ATTUNE_TESTENV_TEST_GO"
	// clientVariable makes it a test binary of that run; the value says how to end.
	clientVariable = "ATTUNE_TESTENV_TEST_CLIENT"
)

func TestMain(m *testing.M) {
	if os.Getenv(goVariable) != "" {
		beGo()
	}
	testenv.Main(m)
}

// beGo starts a test binary for each line of the standard input, and ends with the input.
func beGo() {
	var clients sync.WaitGroup
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		client := exec.Command(os.Args[0], "-test.run=^TestClient$")
		client.Env = append(os.Environ(), goVariable+"=", clientVariable+"="+lines.Text())
		client.Stdout, client.Stderr = os.Stdout, os.Stderr
		clients.Go(func() { _ = client.Run() }) // some clients fail on purpose
	}
	clients.Wait()
	os.Exit(0)
}

// TestClient is the test binary of the run: it requests a database and prints the address.
func TestClient(t *testing.T) {
	server, err := url.Parse(testenv.Postgres(t))
	require.NoError(t, err)
	how, inRun := os.LookupEnv(clientVariable)
	if inRun {
		fmt.Println("server=" + server.Host)
	}
	switch how {
	case "panic":
		panic("on purpose")
	case "stay":
		select {}
	}
}

// testRun is a run under a stand-in for the go command, with its own temporary folder.
type testRun struct {
	dir    string
	goTool *exec.Cmd
	input  io.WriteCloser
	output *bufio.Scanner
}

func startRun(t *testing.T) *testRun {
	t.Helper()
	dir, err := os.MkdirTemp("", "attune-run-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })

	r := &testRun{dir: dir, goTool: exec.Command(os.Args[0])}
	r.goTool.Env = append(os.Environ(), goVariable+"=yes", "TMPDIR="+dir)
	r.goTool.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // like a shell
	r.input, err = r.goTool.StdinPipe()
	require.NoError(t, err)
	output, err := r.goTool.StdoutPipe()
	require.NoError(t, err)
	r.output = bufio.NewScanner(output)
	require.NoError(t, r.goTool.Start())
	t.Cleanup(func() {
		if r.goTool.ProcessState == nil { // otherwise another process group may have the id
			_ = syscall.Kill(-r.goTool.Process.Pid, syscall.SIGKILL)
		}
	})
	return r
}

// client starts a test binary and returns the address of its server.
func (r *testRun) client(t *testing.T, how string) string {
	t.Helper()
	_, err := fmt.Fprintln(r.input, how)
	require.NoError(t, err)
	for r.output.Scan() {
		if server, found := strings.CutPrefix(r.output.Text(), "server="); found {
			return server
		}
	}
	require.FailNow(t, "the test binary ended without an answer")
	return ""
}

// end waits for the go command and for the clients that hold its output.
func (r *testRun) end() {
	r.input.Close()
	for r.output.Scan() {
		continue
	}
	_ = r.goTool.Wait()
}

// requireNothingLeft waits until no process and no file of the run exists.
func (r *testRun) requireNothingLeft(t *testing.T) {
	t.Helper()
	var processes, files []string
	ended := func() bool {
		processes = r.processes()
		files, _ = filepath.Glob(filepath.Join(r.dir, "attune-testenv-*"))
		return len(processes)+len(files) == 0
	}
	if !waitFor(ended) {
		require.FailNow(t, "the run left something", "processes %q, files %q", processes, files)
	}
}

// waitFor polls until the condition holds, for two minutes at most.
func waitFor(condition func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// processes lists the processes with the folder of the run in their command line or environment, or as working folder.
func (r *testRun) processes() []string {
	var found []string
	for pid, stat := range procfs.All() {
		if pid == os.Getpid() || !stat.Running() {
			continue
		}
		if about := about(pid); strings.Contains(about, r.dir) {
			found = append(found, strconv.Itoa(pid)+" "+about)
		}
	}
	return found
}

// daemon returns the process id of the run's daemon; 0 if none runs.
func (r *testRun) daemon() int {
	for pid, stat := range procfs.All() {
		if stat.Running() && strings.Contains(about(pid), "ATTUNE_TESTENV_DAEMON="+r.dir) {
			return pid
		}
	}
	return 0
}

func about(pid int) string {
	folder, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid))
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	return folder + " " + string(command) + " " + string(environment)
}

func TestRun(t *testing.T) {
	t.Parallel()

	for _, tt := range []struct {
		name string
		how  string // how the second client ends
		end  func(*testRun) error
	}{
		{"a finished run leaves nothing", "return", func(*testRun) error { return nil }},
		{"a run that panicked leaves nothing", "panic", func(*testRun) error { return nil }},
		{"an interrupted run leaves nothing", "stay", func(r *testRun) error { return syscall.Kill(-r.goTool.Process.Pid, syscall.SIGINT) }},
		{"a killed run leaves nothing", "stay", func(r *testRun) error { return syscall.Kill(-r.goTool.Process.Pid, syscall.SIGKILL) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := startRun(t)
			server := r.client(t, "return")
			require.Equal(t, server, r.client(t, tt.how), "two test binaries share one server")
			require.NotEmpty(t, r.processes())
			require.NoError(t, tt.end(r))
			r.end()
			r.requireNothingLeft(t)
		})
	}

	t.Run("a killed daemon is replaced", func(t *testing.T) {
		t.Parallel()
		r := startRun(t)
		r.client(t, "return")
		first := r.daemon()
		require.NotZero(t, first)
		require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
		require.NotEmpty(t, r.client(t, "return"))
		require.NotEqual(t, first, r.daemon())
		r.end()
		r.requireNothingLeft(t)
	})
}
