package worker

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// checkReaches returns an [attune.CodeInvalid] error if the mode of a folder above path, or of path itself, keeps the user out.
func (a *account) checkReaches(path string) error {
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err == nil && !a.mayEnter(info) {
			return attune.Errorf(attune.CodeInvalid, "user %q cannot enter folder %s, which its actions need: chmod o+x, or use another "+
				"folder", a.name, dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

func (a *account) mayEnter(dir os.FileInfo) bool {
	const owner, group, other = 0o100, 0o010, 0o001
	stat, ok := dir.Sys().(*syscall.Stat_t)
	if !ok || a.uid == 0 {
		return true
	}
	bit := other
	switch {
	case stat.Uid == a.uid:
		bit = owner
	case stat.Gid == a.gid, slices.Contains(a.groups, stat.Gid):
		bit = group
	}
	return int(dir.Mode().Perm())&bit != 0
}

// capabilities returns the rights that a supervisor needs and does not inherit.
func (a *account) capabilities() []uintptr {
	if a == nil {
		return nil
	}
	return a.ambient
}

// id returns the user id, or [supervise.NoUID] if the user is that of the worker.
func (a *account) id() int64 {
	if a == nil || int(a.uid) == os.Getuid() {
		return supervise.NoUID
	}
	return int64(a.uid)
}

// userOf returns the user of the action; nil means the worker's own. Without a cgroup that limits the action, the limit becomes a
// bound on the user's processes. It holds for all actions of the worker together, so it allows each of them what its limit allows.
func (s *supervisors) userOf(c command, confined bool) *supervise.User {
	if s.account == nil {
		return nil
	}
	a := s.account
	as := &supervise.User{UID: a.uid, GID: a.gid, Groups: a.groups}
	if !confined {
		as.Processes = c.limits.Processes * s.slots
	}
	return as
}
