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
	// probeInterval is the pause between two readiness probes: short, because starting is what tests wait for.
	probeInterval = 25 * time.Millisecond
	// probeTimeout bounds one readiness probe, so that a server that accepts and then hangs is asked again.
	probeTimeout = 2 * time.Second
	// stopGrace is how long a service may take to stop by itself before it is killed.
	stopGrace = time.Minute
	// tailBytes and tailLines bound what an error quotes from a log.
	tailBytes = 8 << 10
	tailLines = 15
)

// command describes one child process.
type command struct {
	name string // as people call it: "PostgreSQL"
	path string
	args []string
	env  []string // the whole environment
	dir  string
	log  string // file that receives stdout and stderr; the one of the previous start is kept as log + ".1"

	account  *account       // the user to run as; nil: the caller's
	graceful syscall.Signal // asks it to finish what it is doing and to close its files
	discard  syscall.Signal // ends it at once, where its data is thrown away anyway
	orphaned syscall.Signal // what the kernel sends it when its parent is gone
}

// process is one running child. It is reaped as soon as it ends, whether or not anybody waits.
type process struct {
	command
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; readable after done is closed
}

// start runs c and returns as soon as the child exists.
func start(c command) (*process, error) {
	log, err := openLog(c.log)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", c.name, err)
	}
	defer log.Close()

	// What a service writes is for its own user only, wherever it writes it.
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

// run starts the child, reports that, and waits for its end.
//
// The goroutine stays locked to its thread on purpose: Linux sends the parent-death signal when the *thread* that
// forked ends, and the Go runtime ends threads as it likes. A goroutine that returns while locked takes its thread
// with it, which is right by then because the child is gone.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	// Helpers that outlive their server go at once, while the group's id cannot yet belong to anybody else.
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	close(p.done)
}

// ended reports whether the child is gone.
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
			return fmt.Errorf("%s is not ready: %w; last answer: %w%s", p.name, context.Cause(ctx), err, p.tail())
		case <-tick.C:
		}
	}
}

// crash describes an end of the process that no caller asked for.
func (p *process) crash(what string) error {
	if p.err != nil {
		return fmt.Errorf("%s %s: %w%s", p.name, what, p.err, p.tail())
	}
	return fmt.Errorf("%s %s: exit status 0%s", p.name, what, p.tail())
}

// tail returns the end of the log, ready to be appended to a message.
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

// stop asks the child to finish by a signal, kills it when it takes longer than stopGrace or than ctx allows, and
// returns when it and everything it started are gone. A kill that had to be is reported.
func (p *process) stop(ctx context.Context, signal syscall.Signal) error {
	ctx, cancel := context.WithTimeout(ctx, stopGrace)
	defer cancel()
	family := p.family()
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
		return p.awaitGone(family)
	case <-ctx.Done():
		return errors.Join(fmt.Errorf("%s did not stop and was killed: %w%s", p.name, ctx.Err(), p.tail()), p.kill())
	}
}

// kill ends the child and everything it started, and returns when all of that is gone. Helpers that left the process
// group of the child, as PostgreSQL's backends do, are found by their parent.
func (p *process) kill() error {
	family := p.family()
	if !p.ended() {
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	}
	for _, member := range family {
		member.kill()
	}
	<-p.done
	return p.awaitGone(family)
}

// family lists the processes below the child; none once it has ended.
func (p *process) family() []relative {
	if p.ended() {
		return nil
	}
	return descendants(p.cmd.Process.Pid)
}

// awaitGone returns when the child's process group and its family are gone.
func (p *process) awaitGone(family []relative) error {
	group := p.cmd.Process.Pid
	deadline := time.After(stopGrace)
	tick := time.NewTicker(probeInterval / 5)
	defer tick.Stop()
	for groupAlive(group) || slices.ContainsFunc(family, relative.alive) {
		select {
		case <-deadline:
			return fmt.Errorf("%s left processes behind that could not be killed (process group %d)", p.name, group)
		case <-tick.C:
		}
	}
	return nil
}

// openLog starts a new log and keeps the one before it: after a crash and a restart both are wanted.
func openLog(path string) (*os.File, error) {
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
