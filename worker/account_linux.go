package worker

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker/supervise"
)

// checkReaches returns an [attune.CodeInvalid] error with all folders that keep the user out by their mode: the paths themselves and
// the folders above them.
func (a *account) checkReaches(paths ...string) error {
	blocking := map[string]bool{}
	for _, path := range paths {
		dir, err := filepath.Abs(path)
		if err != nil {
			return fmt.Errorf("find folder %q: %w", path, err)
		}
		for ; ; dir = filepath.Dir(dir) {
			if info, err := os.Stat(dir); err == nil && !a.mayEnter(info) {
				blocking[dir] = true
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	if len(blocking) == 0 {
		return nil
	}
	dirs := slices.Sorted(maps.Keys(blocking))
	return attune.Errorf(attune.CodeInvalid, "user %q cannot enter folder %s, which its actions need: chmod o+x %s, or use other folders",
		a.name, strings.Join(dirs, " and folder "), strings.Join(dirs, " "))
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

// userOf returns the user of the action; nil means the worker's own. Without a cgroup that counts processes, the limit becomes a
// bound on the user's processes. It holds for all actions of the worker together, so it allows each of them what its limit allows.
func (s *supervisors) userOf(c command, group *cgroup) *supervise.User {
	if s.account == nil {
		return nil
	}
	a := s.account
	as := &supervise.User{UID: a.uid, GID: a.gid, Groups: a.groups}
	if !group.counts(pidsMax) {
		as.Processes = c.limits.Processes * s.slots
	}
	return as
}
