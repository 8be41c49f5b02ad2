package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stretchr/testify/require"
)

// programDir is where program has put attune; empty before.
var programDir string

// program builds attune once.
var program = sync.OnceValues(func() (path string, err error) {
	if programDir, err = os.MkdirTemp("", "attune-e2e-"); err != nil {
		return "", err
	}
	path = filepath.Join(programDir, "attune")
	build := exec.Command("go", "build", "-o", path, "../cmd/attune")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build attune: %w\n%s", err, out)
	}
	return path, nil
})

// process is one running attune.
type process struct {
	cmd    *exec.Cmd
	output *bytes.Buffer
	done   chan struct{}
}

// start runs `attune serve` and returns when it says that it runs.
func (c *cluster) start(args ...string) *process {
	c.t.Helper()
	path, err := program()
	require.NoError(c.t, err)
	p := &process{output: new(bytes.Buffer), done: make(chan struct{})}
	p.cmd = exec.Command(path, append([]string{"serve", "--data-dir", c.t.TempDir(), "--packs", c.pack}, args...)...)
	p.cmd.Env = c.env
	stderr, err := p.cmd.StderrPipe()
	require.NoError(c.t, err)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(c.t, p.cmd.Start())
	running := make(chan struct{})
	go func() {
		defer close(p.done)
		p.watch(stderr, running)
		_ = p.cmd.Wait()
	}()
	c.t.Cleanup(p.stop)
	select {
	case <-running:
	case <-p.done:
		require.FailNow(c.t, "attune did not start", p.output.String())
	case <-time.After(patience):
		p.kill()
		require.FailNow(c.t, "attune did not say that it runs", p.output.String())
	}
	return p
}

// watch keeps what the process says, and notices when it says that it runs.
func (p *process) watch(stderr io.Reader, running chan struct{}) {
	chunk := make([]byte, 4096)
	said := false
	for {
		n, err := stderr.Read(chunk)
		p.output.Write(chunk[:n])
		if !said && strings.Contains(p.output.String(), "attune runs") {
			said = true
			close(running)
		}
		if err != nil {
			return
		}
	}
}

// stop asks the process to end and waits for it.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
	}
}

// kill ends the process as a power cut would.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// attune runs a command to its end and returns its exit code and what it printed.
func (c *cluster) attune(args ...string) (code int, output string) {
	c.t.Helper()
	path, err := program()
	require.NoError(c.t, err)
	cmd := exec.CommandContext(c.t.Context(), path, args...)
	cmd.Env = c.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		require.ErrorAs(c.t, err, new(*exec.ExitError), "%s", out)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}
