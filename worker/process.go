package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// The kernel refuses to execute a file that a process has open for writing (ETXTBSY). Usually that process was forked an
// instant ago and has not closed its copy yet, so the worker retries a start for about half a second.
const (
	busyTries = 50
	busyPause = 10 * time.Millisecond
)

// process is a running command and the process group that it leads.
type process struct {
	command
	ours, theirs [3]*os.File // the two ends of stdin, stdout and stderr

	stdout, stderr *capture
	leader         *os.Process
	state          *os.ProcessState // how the leader ended; nil if that could not be learned

	exited  chan struct{} // the leader has ended
	drained chan struct{} // closed when all output has been copied
	copying sync.WaitGroup
}

// startProcess returns as soon as the process exists. It starts no process once ctx has ended. The end of ctx does not end a
// process that has started.
func startProcess(ctx context.Context, c command, outputLimit int) (*process, error) {
	p := &process{
		command: c,
		stdout:  newCapture(outputLimit), stderr: newCapture(outputLimit),
		exited: make(chan struct{}), drained: make(chan struct{}),
	}
	if err := p.openPipes(); err != nil {
		return nil, err
	}
	started := make(chan error)
	go p.live(ctx, started)
	err := <-started
	closeAll(p.theirs)
	if err != nil {
		closeAll(p.ours)
		return nil, err
	}
	p.copy()
	return p, nil
}

func (p *process) openPipes() error {
	for i := range p.ours {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(p.ours)
			closeAll(p.theirs)
			return fmt.Errorf("open pipes: %w", err)
		}
		p.ours[i], p.theirs[i] = read, write
	}
	p.ours[0], p.theirs[0] = p.theirs[0], p.ours[0]
	return nil
}

func closeAll(files [3]*os.File) {
	for _, file := range files {
		if file != nil {
			_ = file.Close()
		}
	}
}

// live forks the process and stays until it has ended.
//
// The goroutine keeps its thread for all that time: Linux sends the parent-death signal when the *thread* that forked
// ends, and the Go runtime ends threads as it likes.
func (p *process) live(ctx context.Context, started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.fork(ctx)
	started <- err
	if err != nil {
		return
	}
	p.awaitExit()
	close(p.exited)
}

func (p *process) fork(ctx context.Context) (err error) {
	attr := &os.ProcAttr{Dir: p.dir, Env: p.env, Files: p.theirs[:], Sys: processAttributes()}
	for range busyTries {
		if err = ctx.Err(); err != nil {
			break
		}
		p.leader, err = os.StartProcess(p.path, p.args, attr)
		if !errors.Is(err, syscall.ETXTBSY) || await(ctx.Done(), busyPause) {
			break
		}
	}
	return err
}

// copy feeds stdin and collects the output.
func (p *process) copy() {
	p.copying.Go(func() {
		// A process may ignore its parameters, and end before it could have read them: neither is an error.
		_, _ = p.ours[0].Write(p.stdin)
		_ = p.ours[0].Close()
	})
	var output sync.WaitGroup
	output.Go(func() { _, _ = io.Copy(p.stdout, p.ours[1]) })
	output.Go(func() { _, _ = io.Copy(p.stderr, p.ours[2]) })
	p.copying.Go(func() {
		output.Wait()
		close(p.drained)
	})
}

// wait returns when the process has ended and its group was killed. When ctx ends first, the group is asked to
// end with SIGTERM and made to with SIGKILL after killGrace; ended then says so, and killed that it took SIGKILL.
//
// What the leader leaves behind may go on writing for outputGrace, or after a SIGTERM for the rest of killGrace. Both are
// over when kill is closed, which happens only after ctx ended or the process did.
func (p *process) wait(
	ctx context.Context, kill <-chan struct{}, killGrace, outputGrace time.Duration,
) (ended, killed bool) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		ended = !isClosed(p.exited)
	}
	if ended {
		killed = p.terminate(kill, killGrace)
	} else {
		awaitUnless(kill, p.drained, outputGrace)
	}
	p.finish(outputGrace)
	return ended, killed
}

// terminate asks the group to end and waits for that as long as grace, or until kill is closed. It reports whether the
// leader had to be killed.
func (p *process) terminate(kill <-chan struct{}, grace time.Duration) (killed bool) {
	deadline := time.Now().Add(grace)
	p.signal(syscall.SIGTERM)
	if awaitUnless(kill, p.exited, grace) {
		awaitUnless(kill, p.drained, time.Until(deadline))
		return false
	}
	p.signal(syscall.SIGKILL)
	<-p.exited
	return true
}

// finish kills the rest of the group and joins everything that belongs to the process. It reaps the leader after the kill:
// as long as the leader is a zombie, no other process or group can have its id.
func (p *process) finish(outputGrace time.Duration) {
	p.signal(syscall.SIGKILL)
	p.reap()
	// Only a process that has left the group can still hold the output.
	await(p.drained, outputGrace)
	closeAll(p.ours)
	p.copying.Wait()
}

// signal sends sig to the whole group. An error means that the group has no process left, or none that the worker may signal.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.leader.Pid, sig) }

// await reports whether done was closed within d.
func await(done <-chan struct{}, d time.Duration) bool { return awaitUnless(nil, done, d) }

// awaitUnless reports whether done was closed within d and before stop was.
func awaitUnless(stop, done <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
	case <-stop:
	}
	return isClosed(done)
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
