package supervise

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Marks are what the processes of an attempt have in common. One of them is enough.
type Marks struct {
	Session  int    // of the action's first process
	Variable string // in the environment with which processes were started, such as "NAME=value"
	Cgroup   string // its name; empty: none
	UID      int64  // of a user that no other child of the caller has; [NoUID]: none
}

// NoUID is the id of no user.
const NoUID = -1

// KillOrphans kills the processes of an attempt whose supervisor has ended. They are children of the caller then, or
// below such children, because the caller is a subreaper. KillOrphans returns nil when all have ended, and reaps them. The
// caller may have other children, so a child belongs to the attempt only if it has one of the marks.
//
// An error means that KillOrphans cannot know whether all have ended: it could not read /proc.
//
// Without a cgroup and a user of its own, a process that has left its session and was started with another environment, or hides its
// environment, is not found.
func KillOrphans(m Marks) error {
	self := syscall.Getpid()
	own, _, err := readProcess(self, nil)
	if err != nil {
		return err
	}
	sessions, members, found := map[int]bool{m.Session: true}, map[int]bool{}, map[int]bool{}
	tree := Tree{Root: self, Member: func(p Process) (bool, error) {
		if members[p.PID] || p.Session == own.Session {
			return members[p.PID], nil
		}
		marked, err := sessions[p.Session], error(nil)
		if !marked {
			marked, err = m.mark(p.PID)
		}
		if marked {
			// A zombie has no environment, but it has its session.
			members[p.PID], sessions[p.Session] = true, true
		}
		return marked, err
	}}
	err = tree.Kill()
	if err == nil {
		err = tree.each(func(p Process) { found[p.PID] = true })
	}
	for pid := range found {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG|waitAll, nil)
	}
	return err
}

// mark reports whether a process has a mark besides its session.
func (m Marks) mark(pid int) (bool, error) {
	marked, err := hasVariable(pid, m.Variable)
	if err == nil && !marked {
		marked, err = inCgroup(pid, m.Cgroup)
	}
	if err == nil && !marked {
		marked, err = isOf(pid, m.UID)
	}
	return marked, err
}

// isOf reports whether the process has the real user id.
func isOf(pid int, uid int64) (bool, error) {
	if uid == NoUID {
		return false, nil
	}
	status, err := readAll(folderOf(pid) + "/status")
	return strings.Contains(string(status), "\nUid:\t"+strconv.FormatInt(uid, 10)+"\t"), err
}

// hasVariable reports whether the process was started with a variable, given as "NAME=value".
func hasVariable(pid int, variable string) (bool, error) {
	started, err := environment(pid)
	return slices.Contains(splitZero(started), variable), err
}

// inCgroup reports whether the process is in the cgroup.
func inCgroup(pid int, cgroup string) (bool, error) {
	if cgroup == "" {
		return false, nil
	}
	groups, err := readAll(folderOf(pid) + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		if strings.TrimSuffix(line, "\n") == "0::"+cgroup {
			return true, err
		}
	}
	return false, err
}
