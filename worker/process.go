package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"
)

// errLeaseOver is the error of a command that is not started because its lease is over.
var errLeaseOver = errors.New("the lease was over before the process could be started")

// process is a running command with everything that it has started.
type process struct {
	command
	*tree
	ours, theirs [3]*os.File // the worker's and the process's ends of stdin, stdout and stderr

	stdout, stderr *capture

	drained chan struct{} // closed when all output has been copied
	copying sync.WaitGroup
}

// startProcess returns as soon as the process exists. After the end of ctx it starts no process. The end of ctx does not
// end a process that has started.
func startProcess(
	ctx context.Context, pool *supervisors, c command, leash *leash, outputLimit int,
) (*process, error) {
	p := &process{
		command: c,
		stdout:  newCapture(outputLimit), stderr: newCapture(outputLimit),
		drained: make(chan struct{}),
	}
	if err := p.openPipes(); err != nil {
		return nil, err
	}
	err := p.start(ctx, pool, leash)
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

func (p *process) start(ctx context.Context, pool *supervisors, leash *leash) (err error) {
	for range busyTries {
		if err = ctx.Err(); err != nil {
			break
		}
		p.tree, err = pool.start(p.command, p.theirs, leash)
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
	output.Go(func() { p.collect(p.stdout, p.ours[1]) })
	output.Go(func() { p.collect(p.stderr, p.ours[2]) })
	p.copying.Go(func() {
		output.Wait()
		close(p.drained)
	})
}

// collect copies output. It masks secrets before anything is dropped: a value that is cut in two could not be found.
func (p *process) collect(into *capture, from *os.File) {
	masked := p.masker.Writer(into)
	_, _ = io.Copy(masked, from)
	_ = masked.Close()
}

// wait returns when the process and everything that it has started have ended. If ctx ends first, wait sends SIGTERM to
// all of them and after killGrace SIGKILL. interrupted reports that ctx or the lease ended first; killed reports that
// SIGTERM was not enough.
//
// When the leader has ended by itself, its children may write to the output for outputGrace. Then they get SIGTERM, and
// after killGrace SIGKILL. Closing kill ends all these times. kill is closed only after ctx or the process has ended.
func (p *process) wait(
	ctx context.Context, kill <-chan struct{}, killGrace, outputGrace time.Duration,
) (interrupted, killed bool) {
	select {
	case <-p.exited:
	case <-ctx.Done():
		interrupted = !isClosed(p.exited)
	}
	if interrupted {
		killed = p.end(kill, killGrace)
	} else {
		awaitUnless(kill, p.drained, outputGrace)
		p.endLeftovers(kill, killGrace)
	}
	p.finish(outputGrace)
	return interrupted || p.overdue, killed || p.overdue
}

// end sends SIGTERM and waits until all processes end, grace is over, or kill is closed. It reports whether the leader
// needed SIGKILL.
func (p *process) end(kill <-chan struct{}, grace time.Duration) (killed bool) {
	deadline := time.Now().Add(grace)
	p.terminate()
	if awaitUnless(kill, p.exited, grace) {
		awaitUnless(kill, p.quiet(p.drained), time.Until(deadline))
		return false
	}
	p.kill()
	<-p.exited
	return true
}

// endLeftovers sends SIGTERM to what the leader has left behind, and waits until it ends, grace is over, or kill is closed.
func (p *process) endLeftovers(kill <-chan struct{}, grace time.Duration) {
	if p.leftovers() {
		p.terminate()
		awaitUnless(kill, p.quiet(p.drained), grace)
	}
}

// finish kills what is left and waits for the copying goroutines.
func (p *process) finish(outputGrace time.Duration) {
	p.kill()
	p.awaitKilled()
	// Only a process that was not started by this one can still have the output open.
	await(p.drained, outputGrace)
	closeAll(p.ours)
	p.copying.Wait()
}

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
