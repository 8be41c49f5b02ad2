package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// The files of a cgroup; see the kernel's documentation of cgroup v2.
const (
	memoryMax      = "memory.max"
	memorySwapMax  = "memory.swap.max"
	memoryOOMGroup = "memory.oom.group"
	memoryEvents   = "memory.events"
	pidsMax        = "pids.max"
	subtreeControl = "cgroup.subtree_control"
	noLimit        = "max"
)

// enableLimits makes the kernel count the memory and the processes of the cgroups below p. The kernel does so only where no
// process is in p itself, so enableLimits moves the worker into a cgroup of its own below p. It returns that cgroup, which the
// worker keeps, or an error that says why limits cannot be enforced.
func (p cgroupParent) enableLimits() (*cgroup, error) {
	if p.folder == "" {
		return nil, errors.New("the system has no cgroup of version 2")
	}
	if p.enable() == nil {
		return nil, nil //nolint:nilnil // no process was in the way
	}
	own := p.createLocked()
	if own == nil {
		return nil, fmt.Errorf("the worker may not create cgroups in %s: delegate it to the worker", p.folder)
	}
	if err := own.write("cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
		own.remove()
		return nil, fmt.Errorf("move the worker into a cgroup of its own: %w", err)
	}
	if err := p.enable(); err != nil {
		_ = os.WriteFile(filepath.Join(p.folder, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
		own.remove()
		return nil, fmt.Errorf("count memory and processes in %s: %w: the worker must be the only process there, and the controllers "+
			"memory and pids must be available", p.folder, err)
	}
	return own, nil
}

// enable makes the kernel count in the cgroups below p.
func (p cgroupParent) enable() error {
	return os.WriteFile(filepath.Join(p.folder, subtreeControl), []byte("+memory +pids"), 0)
}

// confine sets the limits of the next action on its cgroup, and reports whether the action must not run outside of it. Its error
// is a *refusal.
func (s *supervisors) confine(c *cgroup, l attune.Limits) (confined bool, err error) {
	why := s.unlimited
	if c == nil && why == nil {
		why = errors.New("the worker may not create cgroups")
	}
	switch {
	case why == nil:
		if err := c.limit(l); err != nil {
			return false, refuse(attune.ReasonLimits, "the limits of the action cannot be set: %v", err)
		}
		return l != attune.Limits{}, nil
	case l.Memory > 0, l.Processes > 0 && s.account == nil:
		return false, refuse(attune.ReasonLimits, "this worker cannot enforce the limits of the action: %v", why)
	default:
		return false, nil
	}
}

// userOf returns the user of the action; nil means the worker's own. The bound on the user's processes holds for all actions of
// the worker together, so it allows each of them what the limits allow.
func (s *supervisors) userOf(c command) *supervise.User {
	if s.account == nil {
		return nil
	}
	a := s.account
	return &supervise.User{UID: a.uid, GID: a.gid, Groups: a.groups, Processes: c.limits.Processes * s.slots}
}

// limit sets the limits of the next action. Without limits and without the files for them, it does nothing.
func (c *cgroup) limit(l attune.Limits) error {
	memory, processes := noLimit, noLimit
	if l.Memory > 0 {
		memory = strconv.FormatInt(int64(l.Memory), 10)
	}
	if l.Processes > 0 {
		processes = strconv.Itoa(l.Processes)
	}
	if _, err := os.Stat(filepath.Join(c.folder.Name(), pidsMax)); err != nil && l == (attune.Limits{}) {
		return nil
	}
	err := errors.Join(c.write(memoryMax, memory), c.write(pidsMax, processes))
	if err == nil && l.Memory > 0 {
		_ = c.write(memoryOOMGroup, "1") // all processes of the action end together
		_ = c.write(memorySwapMax, "0")  // absent without swap
	}
	return err
}

func (c *cgroup) write(file, text string) error {
	return os.WriteFile(filepath.Join(c.folder.Name(), file), []byte(text), 0)
}

// outOfMemory returns how often the kernel has killed a process of the cgroup because of its limit of memory.
func (c *cgroup) outOfMemory() int {
	if c == nil {
		return 0
	}
	events, _ := os.ReadFile(filepath.Join(c.folder.Name(), memoryEvents))
	for line := range strings.Lines(string(events)) {
		if count, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			n, _ := strconv.Atoi(count)
			return n
		}
	}
	return 0
}
