// Package program builds attune and runs it as a separate process, for tests and benchmarks that observe it from outside.
//
// On Linux the process ends with its parent process. On other systems it outlives a killed test.
package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to stop before it is killed. It is longer than attune's own stop time.
const stopTimeout = time.Minute

// Build builds attune into the folder and returns the path of the binary.
func Build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "attune")
	build := exec.CommandContext(ctx, "go", "build", "-o", path, "github.com/attune-go/attune/cmd/attune")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build attune: %w\n%s", err, out)
	}
	return path, nil
}

// Config says which program to run.
type Config struct {
	Path string   // of the binary
	Args []string // a command that runs until it is stopped: "serve" and its flags
	Env  []string // the whole environment
	UID  int      // the user and the group of the process; 0 means those of the caller
	// Line is called with every line that the process logs, without the line break, in order, by one goroutine. Line must
	// not keep the slice. Nil drops the lines.
	Line func(line []byte)
}

// Process is one running attune.
type Process struct {
	cmd    *exec.Cmd
	line   func([]byte)
	stderr io.Reader
	done   chan struct{}

	mu     sync.Mutex
	output strings.Builder // guarded by mu; written by the goroutine that reads the log
}

// Start starts attune and returns when attune logs that it runs. If ctx ends before that, Start kills the process;
// afterwards ctx has no effect. The error quotes the log of the process.
func Start(ctx context.Context, config Config) (*Process, error) {
	p := &Process{
		cmd:  exec.Command(config.Path, config.Args...), //nolint:noctx // ctx bounds the start only
		line: config.Line, done: make(chan struct{}),
	}
	if p.line == nil {
		p.line = func([]byte) {}
	}
	p.cmd.Env, p.cmd.SysProcAttr = config.Env, attributes(config.UID)
	var err error
	if p.stderr, err = p.cmd.StderrPipe(); err != nil {
		return nil, fmt.Errorf("start attune: %w", err)
	}
	started, running := make(chan error, 1), make(chan struct{})
	go p.live(started, running)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start attune: %w", err)
	}
	select {
	case <-running:
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("attune did not start:\n%s", p.Output())
	case <-ctx.Done():
		p.Kill()
		return nil, fmt.Errorf("attune did not log that it runs: %w\n%s", context.Cause(ctx), p.Output())
	}
}

// credential returns the user of a process; nil means the caller's.
func credential(uid int) *syscall.Credential {
	if uid == 0 {
		return nil
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
}

// live starts the process and returns when it has ended.
//
// The goroutine keeps its thread for all that time: Linux sends the parent-death signal when the *thread* that forked
// ends, and the Go runtime may end any thread. The thread of a goroutine that returns while locked ends with it.
func (p *Process) live(started chan<- error, running chan<- struct{}) {
	runtime.LockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.read(running)
	_ = p.cmd.Wait() // the log shows how the process ended
	close(p.done)
}

// read collects the log of the process, and closes running when the process logs that it runs.
func (p *Process) read(running chan<- struct{}) {
	announced := false
	for lines := bufio.NewReader(p.stderr); ; {
		line, err := lines.ReadBytes('\n')
		p.mu.Lock()
		p.output.Write(line)
		p.mu.Unlock()
		if len(line) > 0 {
			p.line(bytes.TrimSuffix(line, []byte("\n")))
		}
		if !announced && bytes.Contains(line, []byte("attune runs")) {
			announced = true
			close(running)
		}
		if err != nil {
			return
		}
	}
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Output returns the log of the process so far.
func (p *Process) Output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.output.String()
}

// Stop sends SIGTERM to the process and waits for its end. After a minute it kills the process.
func (p *Process) Stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.Kill()
	}
}

// Kill ends the process with SIGKILL and waits for its end. It does not end the children of the process.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Run runs a command of attune to its end and returns its exit code and output.
func Run(ctx context.Context, config Config) (code int, output string, err error) {
	cmd := exec.CommandContext(ctx, config.Path, config.Args...)
	cmd.Env = config.Env
	out, err := cmd.CombinedOutput()
	if err != nil {
		if _, exited := errors.AsType[*exec.ExitError](err); !exited {
			return 0, string(out), fmt.Errorf("run attune %s: %w", strings.Join(config.Args, " "), err)
		}
	}
	return cmd.ProcessState.ExitCode(), string(out), nil
}
