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
// instant ago and has not closed its inherited copy yet, so the worker retries a start for about half a second.
const (
	busyTries = 50
	busyPause = 10 * time.Millisecond
)

// process is a running command and the process group that it leads.
type process struct {
	command
	ours, theirs [3]*os.File // the worker's and the process's ends of stdin, stdout and stderr

	stdout, stderr *capture
	leader         *os.Process
	state          *os.ProcessState // written by reap; nil if the exit status is unknown

	exited  chan struct{} // closed when the leader has ended
	drained chan struct{} // closed when all output has been copied
	copying sync.WaitGroup
}

// startProcess returns as soon as the process exists. After the end of ctx it starts no process. The end of ctx does not
// end a process that has started.
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

// live forks the process and returns when the process has ended.
//
// The goroutine keeps its thread for all that time: Linux sends the parent-death signal when the *thread* that forked
// ends, and the Go runtime may end any thread.
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

// copy writes stdin and collects the output.
func (p *process) copy() {
	p.copying.Go(func() {
		// An error is harmless: a process may end without reading its parameters.
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

// wait returns when the process has ended and its group was killed. If ctx ends first, wait sends SIGTERM to the group
// and after killGrace SIGKILL. interrupted reports that ctx ended first; killed reports that SIGTERM was not enough.
//
// Children of the leader may write to the output for outputGrace after the leader has ended, or after a SIGTERM for the
// rest of killGrace. Closing kill ends both times. kill is closed only after ctx or the process has ended.
func (p *process) wait(
	ctx context.Context, kill <-chan struct{}, killGrace, outputGrace time.Duration,
) (interrupted, killed bool) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		interrupted = !isClosed(p.exited)
	}
	if interrupted {
		killed = p.terminate(kill, killGrace)
	} else {
		awaitUnless(kill, p.drained, outputGrace)
	}
	p.finish(outputGrace)
	return interrupted, killed
}

// terminate sends SIGTERM to the group and waits until the group ends, grace is over, or kill is closed. It reports
// whether the leader needed SIGKILL.
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

// finish kills the rest of the group, reaps the leader and waits for the copying goroutines. It reaps the leader after
// the kill: as long as the leader is a zombie, no other process or group can have its id.
func (p *process) finish(outputGrace time.Duration) {
	p.signal(syscall.SIGKILL)
	p.reap()
	// Only a process that has left the group can still have the output open.
	await(p.drained, outputGrace)
	closeAll(p.ours)
	p.copying.Wait()
}

// signal sends sig to the whole group. It ignores the error: the group is empty, or the worker may not signal its
// members.
func (p *process) signal(sig syscall.Signal) { _ = syscall.Kill(-p.leader.Pid, sig) }

// await reports whether done was closed within d.
func await(done <-chan struct{}, d time.Duration) bool { return awaitUnless(nil, done, d) }

// awaitUnless reports whether done was closed within d and before stop.
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
