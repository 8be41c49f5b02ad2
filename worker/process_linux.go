package worker

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// prepare makes the worker the parent of processes whose supervisor was killed, so that it can find and kill them. If limited,
// it prepares the enforcement of limits.
func (s *supervisors) prepare(limited bool) error {
	if err := s.own.read(); err != nil {
		return err
	}
	s.parent = ownCgroup()
	s.parent.killDead()
	if limited {
		s.unlimited = s.parent.enableLimits()
	}
	if err := supervise.Adopt(); err != nil {
		return fmt.Errorf("become a subreaper: %w", err)
	}
	if err := s.parent.leaveKilled(); err != nil {
		s.parent, s.unlimited = cgroupParent{}, unenforced{}.all(err)
	}
	return nil
}

// tree is everything that an action has started, under its supervisor.
type tree struct {
	pool     *supervisors
	leash    *leash
	leader   int    // process id of the action; also the id of its session and of its process group
	variable string // "NAME=value" in the environment of this attempt's processes only

	killedBefore int // processes of earlier actions that the kernel has killed because of their limits

	mu         sync.Mutex
	supervisor *supervisor // guarded by mu; nil when every process has ended: it may run another action then

	forcing  sync.Mutex // held while the worker itself kills the processes below the supervisor, which keeps its process id so long
	forced   sync.Once
	reported chan struct{} // closed after the last report of the supervisor

	exited chan struct{} // closed when the leader has ended
	gone   chan struct{} // closed when every process has ended

	// Written before exited is closed.
	status      *syscall.WaitStatus // of the leader; nil if it is unknown
	overdue     bool                // the supervisor killed the tree because the lease was over
	outOfMemory bool                // the kernel killed a process because of the action's limit
	killedHow   string              // how the supervisor has ended, if status is nil

	unverified string // why the worker could not see for some time that every process has ended; written before gone is closed
}

// start starts the command under a supervisor, which ends it when its leash ends or the worker does. It returns when the
// kernel has executed the command.
func (s *supervisors) start(c command, files [3]*os.File, leash *leash) (*tree, error) {
	action := supervise.Action{Path: c.path, Args: c.args, Env: c.env, Dir: c.dir}
	for range maxIdle + 1 {
		end := leash.now()
		if end <= sinceBoot() { // the machine was suspended
			return nil, errLeaseOver
		}
		one, err := s.take(c.limits)
		if err != nil {
			return nil, fmt.Errorf("start %q: %v", c.path, err) //nolint:errorlint // the errno is about another file
		}
		if action.Confined, err = s.confine(one.cgroup, c.limits); err != nil {
			s.put(one)
			return nil, err
		}
		action.User = s.userOf(c, one.cgroup)
		one.spent = c.limits != attune.Limits{}
		killedBefore := one.cgroup.outOfMemory()
		leader, err := one.start(action, files, end, leash)
		switch {
		case err == nil:
			t := &tree{
				pool: s, leash: leash, leader: leader, variable: c.runDirVariable(), supervisor: one, killedBefore: killedBefore,
				reported: make(chan struct{}), exited: make(chan struct{}), gone: make(chan struct{}),
			}
			leash.attach(end, t.setDeadline)
			go t.follow(one)
			return t, nil
		case errors.Is(err, errNotSent): // the supervisor was killed while it was idle
			s.kill(one, noSession, c.runDirVariable(), leash)
		case errors.Is(err, errSpent):
			one.close()
		case errors.Is(err, errNoAnswer): // the action may have been started, so it must not be started again
			how, unverified := s.kill(one, noSession, c.runDirVariable(), leash)
			return nil, fmt.Errorf("start %q: its supervisor was killed (%s)%s", c.path, how, unverified)
		default:
			s.put(one)
			return nil, err
		}
	}
	return nil, fmt.Errorf("start %q: every supervisor was killed before it could start the action", c.path)
}

// noSession is the id of no session.
const noSession = -1

// follow obeys the reports until the tree is gone. If the supervisor ends before that, follow kills what is left.
func (t *tree) follow(s *supervisor) {
	gone := false
	for !gone {
		report, err := s.next()
		if err != nil {
			break
		}
		if exit, ok := report.Exited(); ok {
			t.status, t.overdue, t.outOfMemory = &exit.Status, exit.Overdue, s.cgroup.outOfMemory() > t.killedBefore
			gone = exit.Gone
			if !gone {
				close(t.exited)
			}
		}
		gone = gone || report.Gone()
	}
	close(t.reported)
	t.letGo()
	if gone {
		t.pool.put(s)
	} else {
		t.killedHow, t.unverified = t.pool.kill(s, t.leader, t.variable, t.leash)
	}
	if !isClosed(t.exited) {
		close(t.exited)
	}
	close(t.gone)
}

// letGo ends the use of the supervisor: no later command may reach the next action.
func (t *tree) letGo() {
	t.forcing.Lock()
	defer t.forcing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.supervisor = nil
}

func (t *tree) send(c supervise.Command) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.supervisor != nil {
		t.supervisor.send(c)
	}
}

// terminate sends SIGTERM to every process.
func (t *tree) terminate() { t.send(supervise.Terminate()) }

// kill kills every process. The caller waits with awaitKilled.
func (t *tree) kill() {
	if isClosed(t.gone) {
		return
	}
	t.send(supervise.Kill())
	t.forced.Do(func() { go t.force() })
}

// awaitKilled waits until every process has ended, after a kill.
func (t *tree) awaitKilled() { <-t.gone }

func (t *tree) setDeadline(at bootTime) { t.send(supervise.SetDeadline(int64(at))) }

// quiet returns the channel that is closed when no process of the tree can write to the output any more.
func (t *tree) quiet(<-chan struct{}) <-chan struct{} { return t.gone }

// leftovers reports whether processes are left after the leader has ended.
func (t *tree) leftovers() bool { return !isClosed(t.gone) }
