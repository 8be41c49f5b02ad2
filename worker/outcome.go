package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/attune-go/attune"
)

// These causes of the action's context end an action early, like a [lostError].
var (
	errTimeout   = errors.New("timeout")
	errCancelled = errors.New("cancelled")
	errStopped   = errors.New("worker stopped")
)

// maxQuotedLine bounds the length of a stderr line in an error message, in bytes.
const maxQuotedLine = 300

// outcome is the result of one attempt.
type outcome struct {
	status    attune.ExecutionStatus
	reason    attune.Reason
	message   string // describes the reason to a person
	exitCode  *int
	result    json.RawMessage
	stdout    string
	stderr    string
	truncated bool
}

// runner runs requests and returns their outcomes.
type runner struct {
	commands    commands
	runDirs     *runDirs
	supervisors *supervisors
	log         *slog.Logger
	outputLimit int
	killGrace   time.Duration
	outputGrace time.Duration
}

// run runs one attempt to its end. The end of ctx ends the attempt early, and the cause of ctx selects the outcome. When
// the attempt is killed, the rest of the kill grace is dropped.
func (r runner) run(ctx context.Context, a *attempt, input attune.ExecutionInput) outcome {
	if ctx.Err() != nil {
		return endedBy(context.Cause(ctx), "before it was started")
	}
	action, err := r.commands.actionOf(input)
	if err != nil {
		return notStarted(err)
	}
	command, err := r.commands.of(a.id, action, input, r.runDirs.path(a.id))
	if err != nil {
		return notStarted(err)
	}
	r.supervisors.restoreLimits() // an earlier action may have taken away the right to open files
	if err := r.runDirs.create(command.runDir); err != nil {
		return notStarted(err)
	}
	defer r.removeRunDir(command.runDir)
	ctx, cancel := context.WithTimeoutCause(ctx, action.Timeout, errTimeout)
	defer cancel()
	p, err := startProcess(ctx, r.supervisors, command, &a.leash, r.outputLimit)
	switch {
	case err != nil && ctx.Err() != nil:
		return endedBy(context.Cause(ctx), "before it could be started")
	case errors.Is(err, errLeaseOver):
		return endedBy(&lostError{why: "the lease was over before the worker renewed it"}, "before it could be started")
	case err != nil:
		return notStarted(startRefusal(action.Command[0], err))
	}
	interrupted, killed := p.wait(ctx, a.killed, r.killGrace, r.outputGrace)
	if !interrupted {
		return p.withOutput(p.endedByItself())
	}
	cause := context.Cause(ctx)
	if p.overdue && cause == nil {
		cause = &lostError{why: "the lease was over before the worker renewed it"}
	}
	manner := "while it ran"
	switch {
	case killed && (isClosed(a.killed) || p.overdue):
		manner += "; it was killed so that it does not outlive the lease"
	case killed:
		manner += fmt.Sprintf("; it did not end within %s of SIGTERM and was killed", r.killGrace)
	}
	return p.withOutput(endedBy(cause, manner))
}

// removeRunDir removes the run folder of an attempt whose processes have ended.
func (r runner) removeRunDir(dir string) {
	r.supervisors.restoreLimits()
	if err := r.runDirs.remove(dir); err != nil {
		r.log.Warn("run folder could not be removed", "folder", dir, "error", err)
	}
}

// endedBy returns the outcome of an action that the worker ended. manner says when and how.
func endedBy(cause error, manner string) outcome {
	if lost, ok := errors.AsType[*lostError](cause); ok {
		return outcome{status: attune.ExecutionAbandoned, reason: attune.ReasonWorkerLost,
			message: lost.why + "; ended " + manner}
	}
	switch {
	case errors.Is(cause, errTimeout):
		return outcome{status: attune.ExecutionTimedOut, reason: attune.ReasonTimeout, message: "time was up " + manner}
	case errors.Is(cause, errCancelled):
		return outcome{status: attune.ExecutionCancelled, reason: attune.ReasonCancelled, message: "cancelled " + manner}
	default:
		return outcome{status: attune.ExecutionAbandoned, reason: attune.ReasonWorkerStopped, message: "worker was stopped " + manner}
	}
}

// notStarted returns the outcome of an action that cannot start.
func notStarted(err error) outcome {
	failed := outcome{status: attune.ExecutionFailed, reason: attune.ReasonStart, message: err.Error()}
	if refused, ok := errors.AsType[*refusal](err); ok {
		failed.reason = refused.reason
	}
	return failed
}

// startRefusal explains why the kernel did not start an existing, executable file.
func startRefusal(name string, err error) error {
	refused, isRefused := errors.AsType[*refusal](err)
	switch {
	case isRefused:
		return refused
	case errors.Is(err, fs.ErrNotExist):
		return refuse(attune.ReasonExecutableNotFound, "the first line (#!) of %q names a program that does not exist: "+
			"install the program on the worker", name)
	case errors.Is(err, syscall.ENOEXEC):
		return refuse(attune.ReasonStart, "%q is neither a program for this machine nor a script: a script begins with a line "+
			"such as #!/bin/sh", name)
	case errors.Is(err, syscall.ETXTBSY):
		return refuse(attune.ReasonStart, "%q is still being written to: replace files of a pack by renaming", name)
	default:
		return fmt.Errorf("start %q: %w", name, err)
	}
}

// endedByItself returns the outcome of a process that the worker did not end.
func (p *process) endedByItself() outcome {
	switch {
	case p.status == nil:
		return outcome{status: attune.ExecutionFailed, reason: attune.ReasonSignal,
			message: fmt.Sprintf("the supervisor of the action was killed (%s), and with it all that the action had started; this "+
				"worker did not do it", p.killedHow)}
	case p.outOfMemory && !(p.status.Exited() && p.status.ExitStatus() == 0):
		return outcome{status: attune.ExecutionFailed, reason: attune.ReasonOutOfMemory,
			message: fmt.Sprintf("the kernel killed the processes: they used more than the limit of %s", p.limits.Memory)}
	case p.status.Signaled():
		return outcome{status: attune.ExecutionFailed, reason: attune.ReasonSignal, message: signalled(p.status.Signal())}
	case p.status.ExitStatus() == 0:
		return outcome{status: attune.ExecutionSucceeded}
	}
	message := fmt.Sprintf("exit code %d", p.status.ExitStatus())
	if line := p.stderr.lastLine(maxQuotedLine); line != "" {
		message += ": " + line
	}
	return outcome{status: attune.ExecutionFailed, reason: attune.ReasonExitCode, message: message}
}

func signalled(sig syscall.Signal) string {
	message := fmt.Sprintf("killed by signal %d (%s), which this worker did not send", int(sig), sig)
	if sig == syscall.SIGKILL {
		message += "; the sender is unknown: the kernel when memory was short (its log says so), a service manager, or another process"
	}
	return message
}

// withOutput adds the exit code and the output. A process that was killed by a signal has no exit code.
func (p *process) withOutput(o outcome) outcome {
	if p.status != nil && p.status.Exited() {
		o.exitCode = new(p.status.ExitStatus())
	}
	if o.message != "" {
		o.message += p.unverified
	}
	o.message = p.masker.Text(o.message)
	o.result = p.masker.JSON(resultOf(p.stdout))
	o.stdout, o.stderr = p.stdout.text(), p.stderr.text()
	o.truncated = p.stdout.truncated() || p.stderr.truncated()
	return o
}

// completed returns the report of o.
func (o outcome) completed(id attune.AttemptID, worker string, started, finished time.Time) attune.ExecutionCompletedMessage {
	return attune.ExecutionCompletedMessage{
		Installation: id.Installation, Execution: id.Execution, Attempt: id.Attempt, Worker: worker,
		Status: o.status, Reason: o.reason, Error: o.message, ExitCode: o.exitCode,
		Result: o.result, Stdout: o.stdout, Stderr: o.stderr, Truncated: o.truncated,
		StartedAt: started, FinishedAt: finished,
	}
}
