package services

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// probeInterval is the pause between two readiness probes. It is short, because tests wait for the start.
	probeInterval = 25 * time.Millisecond
	// probeTimeout bounds one readiness probe, so that a server that accepts and then hangs is probed again.
	probeTimeout = 2 * time.Second
	// stopGrace is how long a service may take to stop before it is killed.
	stopGrace = time.Minute
	// tailBytes and tailLines bound the part of a log that an error quotes.
	tailBytes = 8 << 10
	tailLines = 15
)

// command describes one child process.
type command struct {
	name string // for messages: "PostgreSQL"
	path string
	args []string
	env  []string // the whole environment
	dir  string
	log  string // file for stdout and stderr; the file of the previous start is kept as log + ".1"

	account  *account       // the user to run as; nil is the caller
	graceful syscall.Signal // requests an orderly shutdown
	discard  syscall.Signal // ends the process at once, because its data is worthless
	orphaned syscall.Signal // sent by the kernel when the parent has ended
}

// process is a running child. It is reaped as soon as it ends.
type process struct {
	command
	cmd  *exec.Cmd
	done chan struct{}
	err  error // the result of Wait; written before done is closed, read after
}

// start runs c and returns as soon as the child exists.
func start(c command) (*process, error) {
	log, err := openLog(c.log)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer log.Close()

	// The umask makes every file of the service private to its user.
	cmd := exec.Command("/bin/sh", append([]string{"-c", `umask 077 && exec "$0" "$@"`, c.path}, c.args...)...)
	cmd.Env, cmd.Dir = c.env, c.dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes(c)

	p := &process{command: c, cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.name, err)
	}
	return p, nil
}

// run starts the child, sends the result to started, and waits for the child's end.
//
// The goroutine stays locked to its thread on purpose: Linux sends the parent-death signal when the *thread* that forked
// ends, and the Go runtime may end any thread. The thread of a goroutine that returns while locked ends with it, which is
// harmless because the child has ended.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = waitAndEndGroup(p.cmd)
	close(p.done)
}

// ended reports whether the child has ended.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ready waits until probe succeeds. It fails as soon as the child ends.
func (p *process) ready(ctx context.Context, probe func(context.Context) error) error {
	tick := time.NewTicker(probeInterval)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, probeTimeout)
		err := probe(attempt)
		cancel()
		if p.ended() {
			return p.crash("ended while starting")
		}
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return p.crash("ended while starting")
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w; last probe: %w%s", p.name, context.Cause(ctx), err, p.tail())
		case <-tick.C:
		}
	}
}

// crash describes an end of the process that no caller requested.
func (p *process) crash(event string) error {
	if p.err != nil {
		return fmt.Errorf("%s %s: %w%s", p.name, event, p.err, p.tail())
	}
	return fmt.Errorf("%s %s: exit status 0%s", p.name, event, p.tail())
}

// tail returns the end of the log, formatted as the end of an error message.
func (p *process) tail() string {
	data, err := os.ReadFile(p.log)
	if err != nil || len(data) == 0 {
		return ""
	}
	data = data[max(0, len(data)-tailBytes):]
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	return fmt.Sprintf("\nend of %s:\n  %s", p.log, strings.Join(lines, "\n  "))
}

// stop sends signal to the child and waits until the child and its descendants have ended. After stopGrace, or when ctx
// ends, it kills them and returns an error.
func (p *process) stop(ctx context.Context, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	below := p.descendants()
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return p.awaitEnd(below)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not stop and was killed: %w%s", p.name, ctx.Err(), p.tail()), p.kill())
	}
}

// kill kills the child and its descendants and waits until they have ended. PostgreSQL's backends have process groups of
// their own, so kill finds descendants by their parents.
func (p *process) kill() error {
	below := p.descendants()
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	for _, member := range below {
		member.kill()
	}
	<-p.done
	return p.awaitEnd(below)
}

// descendants lists the processes below the child; none after the child has ended.
func (p *process) descendants() []descendant {
	if p.ended() {
		return nil
	}
	return descendantsOf(p.cmd.Process.Pid)
}

// awaitEnd returns when the child's process group and the given descendants have ended.
func (p *process) awaitEnd(below []descendant) error {
	group := p.cmd.Process.Pid
	deadline := time.After(stopGrace)
	tick := time.NewTicker(probeInterval / 5)
	defer tick.Stop()
	for groupAlive(group) || slices.ContainsFunc(below, descendant.alive) {
		select {
		case <-deadline:
			return fmt.Errorf("%s left processes behind that could not be killed (process group %d)", p.name, group)
		case <-tick.C:
		}
	}
	return nil
}

// openLog starts a new log and keeps the previous one, because after a crash and a restart both are useful.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
