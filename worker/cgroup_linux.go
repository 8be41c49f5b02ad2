package worker

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/attune-go/attune/worker/supervise"
)

// cgroup is the cgroup (version 2) of the actions of one supervisor, below the worker's own. A process cannot leave it,
// whatever it does with its session and its environment. There is none where the worker may not create one.
//
// The folder is locked as long as the worker or the supervisor is alive: both have the open file.
type cgroup struct {
	folder *os.File
	name   string // as in /proc/<pid>/cgroup
}

const cgroupPrefix = "attune-"

// newCgroup returns nil if the worker may not create cgroups, or the kernel cannot kill one (before Linux 5.14).
func newCgroup() *cgroup {
	parent, parentName := ownCgroup()
	if parent == "" {
		return nil
	}
	dir, err := os.MkdirTemp(parent, cgroupPrefix)
	if err != nil {
		return nil
	}
	folder, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		_ = os.Remove(dir)
		return nil
	}
	c := &cgroup{folder: folder, name: filepath.Join(parentName, filepath.Base(dir))}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err != nil {
		c.remove()
		return nil
	}
	return c
}

// ownCgroup returns the folder and the name of the worker's cgroup. Both are empty if the system has none of version 2.
func ownCgroup() (folder, name string) {
	groups, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		if found, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			name = found
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		const root, point = 3, 4 // see proc_pid_mountinfo(5)
		fields := strings.Fields(line)
		if len(fields) <= point || !strings.Contains(line, " - cgroup2 ") {
			continue
		}
		if below, err := filepath.Rel(fields[root], name); err == nil && filepath.IsLocal(below) {
			return filepath.Join(fields[point], below), name
		}
	}
	return "", ""
}

// files returns the folder, for the supervisor, or nothing.
func (c *cgroup) files() []*os.File {
	if c == nil {
		return nil
	}
	return []*os.File{c.folder}
}

// kill kills every process of the cgroup.
func (c *cgroup) kill() {
	if c != nil {
		supervise.KillCgroup(int(c.folder.Fd()))
	}
}

// id returns the name, or "" without a cgroup.
func (c *cgroup) id() string {
	if c == nil {
		return ""
	}
	return c.name
}

// remove removes the cgroup, which has no process any more.
func (c *cgroup) remove() {
	if c != nil {
		_ = os.Remove(c.folder.Name())
		_ = c.folder.Close()
	}
}

// killDeadCgroups kills what is left of actions whose worker and supervisor are both dead.
func killDeadCgroups() {
	parent, _ := ownCgroup()
	if parent == "" {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(parent, cgroupPrefix+"*"))
	for _, dir := range dirs {
		folder, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // its worker or its supervisor is alive
		}
		dead := &cgroup{folder: folder}
		for range busyTries {
			dead.kill()
			if err := os.Remove(dir); err == nil || !errors.Is(err, syscall.EBUSY) {
				break
			}
			await(nil, busyPause) // the kernel is ending its processes
		}
		_ = folder.Close()
	}
}
