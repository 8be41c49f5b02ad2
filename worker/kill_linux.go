package worker

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/attune-go/attune/worker/supervise"
)

// killWait is how long a supervisor may take to kill its tree before the worker does it, too: see [tree.killWait]. reportWait is how long a
// supervisor may take to report that its tree is gone when no process of the tree runs any more.
const (
	killWait   = time.Second
	reportWait = 5 * time.Second
)

// killPause is the longest pause between two attempts to kill.
const killPause = time.Second

// force kills every process below a supervisor that does not kill them in time, and then the supervisor. An action of the same user can
// halt its supervisor, so that it obeys neither the worker nor its deadline. The supervisor dies last: as long as it is there, every
// process that the action has started is below it.
func (t *tree) force() {
	if await(t.reported, t.killWait()) {
		return
	}
	t.forcing.Lock()
	defer t.forcing.Unlock()
	t.mu.Lock()
	one := t.supervisor
	t.mu.Unlock()
	if one == nil { // its last report has arrived
		return
	}
	one.spent = true // what holds it may hold it again
	for pause := busyPause; !one.killTree(t.reported); pause = min(2*pause, killPause) {
		t.pool.restoreLimits()
		if await(t.reported, pause) {
			return
		}
	}
	if !await(t.reported, reportWait) {
		t.pool.logger().Error("a supervisor does not answer and is killed: another process of its user has halted it, or it gets no CPU",
			"process", one.process.Pid)
		one.end()
	}
}

// killWait is how long the supervisor may take to kill its tree: at most half of what is left of the lease, so that the worker has the
// other half. A kill because of the lease comes 1/16 of the lease before its end, so this is 1/32 of the lease then.
func (t *tree) killWait() time.Duration { return min(killWait, t.leash.left(sinceBoot())/2) }

// killTree kills what is below the supervisor. It returns true when no process runs there. It gives up when stop is closed.
func (s *supervisor) killTree(stop <-chan struct{}) bool {
	s.cgroup.kill()
	below := supervise.Tree{Root: s.process.Pid}
	for range busyTries {
		running, err := below.KillOnce()
		if err != nil {
			return false
		}
		if running == 0 {
			return true
		}
		if await(stop, busyPause) {
			return false
		}
	}
	return false
}

// kill ends the supervisor and everything that its action has started. The action's first process leads session, and its
// processes have the variable in their environment. It returns how the supervisor has ended, such as "signal: killed", and what
// killOrphans returns.
func (s *supervisors) kill(one *supervisor, session int, variable string, lease *leash) (how, unverified string) {
	one.end()
	state, err := one.process.Wait() // its children are the worker's then
	one.cgroup.kill()
	unverified = s.killOrphans(supervise.Marks{
		Session: session, Variable: variable, Cgroup: one.cgroup.id(), UID: one.account.id(),
	}, lease)
	one.close()
	if err != nil {
		return err.Error(), unverified
	}
	return state.String(), unverified
}

// killOrphans kills the processes of an attempt whose supervisor has ended. It returns when it has seen that none is left: until then,
// the attempt keeps its slot, and its lease as long as the worker can renew it. If that took more than one attempt, it returns the
// reason, as the end of a sentence.
func (s *supervisors) killOrphans(m supervise.Marks, lease *leash) (unverified string) {
	began, overdue, last := time.Now(), false, error(nil)
	log := s.logger().With("session", m.Session, "variable", m.Variable)
	for pause := busyPause; ; pause = min(2*pause, killPause) {
		s.restoreLimits()
		err := supervise.KillOrphans(m)
		if err == nil {
			break
		}
		if last == nil {
			log.Warn("processes of an action may still run: the worker cannot search for them, and goes on trying", "error", err)
		}
		last = err
		if !overdue && lease.now() <= sinceBoot() {
			overdue = true
			log.Error("processes of an action may still run, and its lease is over: the worker cannot search for them", "error", err)
		}
		await(nil, pause)
	}
	if last == nil {
		return ""
	}
	took := time.Since(began).Round(time.Millisecond)
	return fmt.Sprintf("; for %s the worker could not see whether its processes had ended: %v", took, last)
}

func (s *supervisors) logger() *slog.Logger {
	if s.log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.log
}
