package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/attune-go/attune/worker/supervise"
)

// cgroup is the cgroup (version 2) of the actions of one supervisor, below the worker's own. A process of
// another user cannot leave it, and no process leaves it with another session and another environment. There is none where the worker
// may not create one.
//
// The folder is locked as long as the worker or the supervisor is alive: both have the open file.
type cgroup struct {
	folder *os.File
	killer *os.File // the file cgroup.kill, held open: the worker may lose the right to open files. Nil if it is not open
	name   string   // as in /proc/<pid>/cgroup
}

const cgroupPrefix = "attune-"

// cgroupParent is the cgroup below which a worker creates the cgroups of its actions. The zero value means that there is
// none.
type cgroupParent struct{ folder, name string }

// create returns nil if the worker may not create cgroups, or the kernel cannot kill one (before Linux 5.14).
func (p cgroupParent) create() *cgroup {
	c := p.createLocked()
	if c == nil {
		return nil
	}
	if err := c.openKiller(); err != nil {
		c.remove()
		return nil
	}
	return c
}

func (c *cgroup) openKiller() (err error) {
	c.killer, err = os.OpenFile(filepath.Join(c.folder.Name(), "cgroup.kill"), os.O_WRONLY, 0)
	return err
}

// createLocked returns a new cgroup, or nil.
func (p cgroupParent) createLocked() *cgroup {
	if p.folder == "" {
		return nil
	}
	for range busyTries {
		dir, err := os.MkdirTemp(p.folder, cgroupPrefix)
		if err != nil {
			return nil
		}
		folder, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil { // a worker that starts takes the new cgroup for that of a dead one
			_ = os.Remove(dir)
			continue
		}
		if _, err := os.Stat(dir); err == nil {
			return &cgroup{folder: folder, name: filepath.Join(p.name, filepath.Base(dir))}
		}
		_ = folder.Close() // that worker has removed it
	}
	return nil
}

// enter moves the process into the cgroup.
func (c *cgroup) enter() error {
	if err := c.write(cgroupProcs, strconv.Itoa(os.Getpid())); err != nil {
		return fmt.Errorf("move the worker into a cgroup of its own: %w", err)
	}
	return nil
}

// keepLocked keeps the lock as long as the process lives.
func (c *cgroup) keepLocked() {
	_, _, _ = syscall.Syscall(syscall.SYS_FCNTL, c.folder.Fd(), syscall.F_DUPFD_CLOEXEC, 0)
}

// vacate moves the processes of the worker's own cgroup to p and removes the cgroup. The worker's children that were started there are
// in it, too. A cgroup that cannot be removed stays locked: otherwise the next worker would kill its processes.
func (c *cgroup) vacate(p cgroupParent) {
	for range busyTries {
		members, _ := os.ReadFile(filepath.Join(c.folder.Name(), cgroupProcs))
		for pid := range strings.FieldsSeq(string(members)) {
			_ = writeExisting(filepath.Join(p.folder, cgroupProcs), pid)
		}
		if os.Remove(c.folder.Name()) == nil {
			_ = c.folder.Close()
			return
		}
		await(nil, busyPause)
	}
	c.keepLocked()
}

// ownCgroup returns the worker's cgroup, or the zero value if the system has none of version 2.
func ownCgroup() cgroupParent { return cgroupOf("self", version2()) }

// folderFile returns the folder, for the supervisor. Without a cgroup it is nil: the supervisor gets a closed descriptor.
func (c *cgroup) folderFile() *os.File {
	if c == nil {
		return nil
	}
	return c.folder
}

// kill kills every process of the cgroup.
func (c *cgroup) kill() {
	if c != nil && c.killer != nil {
		supervise.KillCgroup(int(c.killer.Fd()))
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
		_ = c.killer.Close() // an error if it is nil
	}
}

// killDead kills what is left of actions whose worker and supervisor are both dead.
func (p cgroupParent) killDead() {
	if p.folder == "" {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(p.folder, cgroupPrefix+"*"))
	for _, dir := range dirs {
		folder, err := lockFolder(dir, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			continue // its worker or its supervisor is alive
		}
		dead := &cgroup{folder: folder}
		_ = dead.openKiller()
		for range busyTries {
			dead.kill()
			if err := os.Remove(dir); err == nil || !errors.Is(err, syscall.EBUSY) {
				break
			}
			await(nil, busyPause) // the kernel is ending its processes
		}
		_ = dead.killer.Close()
		_ = folder.Close()
	}
}
