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
	noLimit        = "max"
)

// enableLimits makes the kernel count the memory and the processes of the cgroups below p. The kernel does so only where no
// process is in p itself, so enableLimits moves the worker into a cgroup of its own below p, where the worker stays. Its error says
// why limits cannot be enforced; then the worker is in p.
func (p cgroupParent) enableLimits() error {
	if p.folder == "" {
		return errors.New("the system has no cgroup of version 2")
	}
	if err := p.checkControllers(); err != nil {
		return err
	}
	if p.enable() == nil {
		return nil // no process was in the way
	}
	own := p.createLocked()
	if own == nil {
		return fmt.Errorf("the worker may not create cgroups in %s: delegate it to the worker", p.folder)
	}
	if err := own.write(cgroupProcs, strconv.Itoa(os.Getpid())); err != nil {
		own.vacate(p)
		return fmt.Errorf("move the worker into a cgroup of its own: %w", err)
	}
	if err := p.enable(); err != nil {
		own.vacate(p)
		return fmt.Errorf("count memory and processes in %s: %w: the worker must be the only process there", p.folder, err)
	}
	own.keepLocked()
	return nil
}

// checkControllers returns an error if the kernel cannot count memory and processes in p.
func (p cgroupParent) checkControllers() error {
	available, err := os.ReadFile(filepath.Join(p.folder, controllers))
	if err != nil {
		return fmt.Errorf("find the controllers of %s: %w", p.folder, err)
	}
	for _, name := range []string{"memory", "pids"} {
		if !slices.Contains(strings.Fields(string(available)), name) {
			return fmt.Errorf("the controller %q is not available in %s", name, p.folder)
		}
	}
	return nil
}

// enable makes the kernel count in the cgroups below p.
func (p cgroupParent) enable() error {
	return writeExisting(filepath.Join(p.folder, subtreeControl), "+memory +pids")
}

// confine sets the limits of the next action on its cgroup, and reports whether the action must not run outside of it. Its error
// is a *refusal.
func (s *supervisors) confine(c *cgroup, l attune.Limits) (confined bool, err error) {
	switch {
	case c.counts():
		if err := c.limit(l); err != nil {
			return false, refuse(attune.ReasonLimits, "the limits of the action cannot be set: %v", err)
		}
		return l != attune.Limits{}, nil
	case l.Memory > 0, l.Processes > 0 && s.account == nil:
		why := cmp.Or(s.unlimited, errors.New("its cgroup does not count memory and processes"))
		return false, refuse(attune.ReasonLimits, "this worker cannot enforce the limits of the action: %v", why)
	default:
		return false, nil
	}
}

// counts reports whether the kernel counts the memory and the processes of the cgroup.
func (c *cgroup) counts() bool {
	if c == nil {
		return false
	}
	for _, file := range []string{memoryMax, pidsMax} {
		if _, err := os.Stat(filepath.Join(c.folder.Name(), file)); err != nil {
			return false
		}
	}
	return true
}

// limit sets the limits of the next action.
func (c *cgroup) limit(l attune.Limits) error {
	memory, swap, processes := noLimit, noLimit, noLimit
	if l.Memory > 0 {
		memory, swap = strconv.FormatInt(int64(l.Memory), 10), "0"
	}
	if l.Processes > 0 {
		processes = strconv.Itoa(l.Processes)
	}
	_ = c.write(memorySwapMax, swap) // absent without swap
	_ = c.write(memoryOOMGroup, "1") // all processes of the action end together
	return errors.Join(c.write(memoryMax, memory), c.write(pidsMax, processes))
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
