package worker

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/attune-go/attune"
)

// The files of a cgroup; see the kernel's documentation of cgroup v2.
const (
	memoryMax      = "memory.max"
	memorySwapMax  = "memory.swap.max"
	memoryOOMGroup = "memory.oom.group"
	memoryEvents   = "memory.events"
	pidsMax        = "pids.max"
	cgroupProcs    = "cgroup.procs"
	controllers    = "cgroup.controllers"
	subtreeControl = "cgroup.subtree_control"
)

// The controllers of a cgroup: what the kernel counts.
const (
	memoryController = "memory"
	pidsController   = "pids"
)

// enableLimits makes the kernel count the memory and the processes of the cgroups below p, or the one of the two that it can count.
// The kernel does so only where no process is in p itself, so enableLimits moves the worker into a cgroup of its own below p, where
// the worker stays. The result says for each controller why limits cannot be enforced with it; if none can be, the worker is in p.
func (p cgroupParent) enableLimits() unenforced {
	missing := unenforced{}
	if p.folder == "" {
		return missing.all(errors.New("the system has no cgroup of version 2"))
	}
	available, err := os.ReadFile(filepath.Join(p.folder, controllers))
	if err != nil {
		return missing.all(fmt.Errorf("find the controllers of %s: %w", p.folder, err))
	}
	var names []string
	for _, name := range []string{memoryController, pidsController} {
		if slices.Contains(strings.Fields(string(available)), name) {
			names = append(names, name)
		} else {
			missing[name] = fmt.Errorf("the controller %q is not available in %s", name, p.folder)
		}
	}
	if len(names) == 0 {
		return missing
	}
	if err := p.enableBelow(names); err != nil {
		return missing.all(err)
	}
	return missing
}

// enableBelow makes the kernel count in the cgroups below p. If processes are in the way, it moves the worker.
func (p cgroupParent) enableBelow(names []string) error {
	if p.enable(names) == nil {
		return nil // no process was in the way
	}
	own := p.createLocked()
	if own == nil {
		return fmt.Errorf("the worker may not create cgroups in %s", p.folder)
	}
	if err := own.enter(); err != nil {
		own.vacate(p)
		return err
	}
	if err := p.enable(names); err != nil {
		own.vacate(p)
		return fmt.Errorf("count %s in %s: %w: the worker must be the only process there", strings.Join(names, " and "), p.folder, err)
	}
	own.keepLocked()
	return nil
}

// enable makes the kernel count in the cgroups below p.
func (p cgroupParent) enable(names []string) error {
	return writeExisting(filepath.Join(p.folder, subtreeControl), "+"+strings.Join(names, " +"))
}

// unenforced says for a controller why limits cannot be enforced with it. It has no entry for a controller that works.
type unenforced map[string]error

// all adds the reason for both controllers, and keeps reasons that it has.
func (u unenforced) all(why error) unenforced {
	for _, name := range []string{memoryController, pidsController} {
		u[name] = cmp.Or(u[name], why)
	}
	return u
}

// warnings describes the limits with which actions will not start.
func (s *supervisors) warnings() []string {
	var all []string
	if why := s.unlimited[memoryController]; why != nil {
		all = append(all, s.refusal("memory", memoryController))
	}
	if why := s.unlimited[pidsController]; why != nil && s.account == nil {
		all = append(all, s.refusal("processes", pidsController))
	}
	return all
}

// refusal says why the worker cannot enforce a limit, and what to do.
func (s *supervisors) refusal(limit, controller string) string {
	why := cmp.Or(s.unlimited[controller], fmt.Errorf("its cgroup does not have the controller %q", controller))
	advice := "give the worker a cgroup with this controller (a service of systemd: Delegate=yes)"
	if controller == pidsController {
		advice += ", or run actions as another user (worker.action_user)"
	}
	return fmt.Sprintf("this worker cannot enforce the limit of %s: %v: %s", limit, why, advice)
}

// confine sets the limits of the next action on its cgroup, and reports whether the action must not run outside of it. Its error
// is a *refusal. A bound on the processes of an own user takes the place of a cgroup that does not count processes: see
// [supervisors.userOf].
func (s *supervisors) confine(c *cgroup, l attune.Limits) (confined bool, err error) {
	memory, processes := l.Memory > 0, l.Processes > 0 && (s.account == nil || c.counts(pidsMax))
	switch {
	case memory && !c.counts(memoryMax):
		return false, refuse(attune.ReasonLimits, "%s", s.refusal("memory", memoryController))
	case processes && !c.counts(pidsMax):
		return false, refuse(attune.ReasonLimits, "%s", s.refusal("processes", pidsController))
	case !memory && !processes:
		return false, nil
	}
	if err := c.limit(l); err != nil {
		return false, refuse(attune.ReasonLimits, "the limits of the action cannot be set: %v", err)
	}
	return true, nil
}

// counts reports whether the kernel counts in the cgroup what a file limits.
func (c *cgroup) counts(file string) bool {
	if c == nil {
		return false
	}
	_, err := os.Stat(filepath.Join(c.folder.Name(), file))
	return err == nil
}

// limit sets the limits of the action.
func (c *cgroup) limit(l attune.Limits) error {
	var err error
	if l.Memory > 0 {
		_ = c.write(memorySwapMax, "0")  // absent without swap
		_ = c.write(memoryOOMGroup, "1") // all processes of the action end together
		err = c.write(memoryMax, strconv.FormatInt(int64(l.Memory), 10))
	}
	if l.Processes > 0 && c.counts(pidsMax) {
		err = errors.Join(err, c.write(pidsMax, strconv.Itoa(l.Processes)))
	}
	return err
}

// write writes to a file of the cgroup. A file that does not exist is an error.
func (c *cgroup) write(file, text string) error {
	return writeExisting(filepath.Join(c.folder.Name(), file), text)
}

func writeExisting(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
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
