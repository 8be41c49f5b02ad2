//go:build !linux

package worker

import (
	"log/slog"
	"os"
	"syscall"

	"github.com/attune-go/attune"
)

// tree is the process group of an action. Outside Linux it has no supervisor: a process that leaves the group is out of
// reach, and when the worker is killed, its actions continue to run.
type tree struct {
	leader  *os.Process
	exited  chan struct{}       // closed when the leader has ended
	status  *syscall.WaitStatus // of the leader; nil if it is unknown; written before exited is closed
	overdue bool                // always false

	outOfMemory bool   // always false
	killedHow   string // always empty
	unverified  string // always empty
}

// supervisors start commands. Outside Linux there are no supervisor processes.
type supervisors struct {
	account *account // always nil
	slots   int
	log     *slog.Logger
}

// warnings returns nothing: every action with limits is refused.
func (s *supervisors) warnings() []string { return nil }

// prepare does nothing: outside Linux no process can adopt others.
func (s *supervisors) prepare(bool) error { return nil }

func (s *supervisors) close() {}

// restoreLimits does nothing: no other process can change the limits of this one.
func (s *supervisors) restoreLimits() {}

// start starts the command in a process group of its own. It ignores the leash.
func (s *supervisors) start(c command, files [3]*os.File, _ *leash) (*tree, error) {
	if c.limits != (attune.Limits{}) {
		return nil, refuse(attune.ReasonLimits, "this worker cannot enforce the limits of the action: only Linux can")
	}
	leader, err := os.StartProcess(c.path, c.args, &os.ProcAttr{
		Dir: c.dir, Env: c.env, Files: files[:], Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return nil, err
	}
	t := &tree{leader: leader, exited: make(chan struct{})}
	go t.await()
	return t, nil
}

// await reaps the leader. As long as the group has another process, the system does not reuse the group's id. A kill of an
// empty group has no target, unless the system reuses the id within [Config.OutputGrace].
func (t *tree) await() {
	if state, err := t.leader.Wait(); err == nil {
		if status, ok := state.Sys().(syscall.WaitStatus); ok {
			t.status = &status
		}
	}
	close(t.exited)
}

func (t *tree) terminate() { _ = syscall.Kill(-t.leader.Pid, syscall.SIGTERM) }

func (t *tree) kill() { _ = syscall.Kill(-t.leader.Pid, syscall.SIGKILL) }

// awaitKilled waits until the leader has ended: the system does not tell when the group is empty.
func (t *tree) awaitKilled() { <-t.exited }

// quiet returns the channel that is closed when no process of the group has the output open.
func (t *tree) quiet(drained <-chan struct{}) <-chan struct{} { return drained }

// leftovers returns false: the system does not tell. The worker kills the group anyway.
func (t *tree) leftovers() bool { return false }
