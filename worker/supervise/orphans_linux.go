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
// below such children, because the caller is a subreaper. KillOrphans returns when all have ended, and reaps them. The
// caller may have other children, so a child belongs to the attempt only if it has one of the marks.
//
// Without a cgroup and a user of its own, a process that has left its session and was started with another environment is not found.
func KillOrphans(m Marks) {
	self := syscall.Getpid()
	own, _ := readProcess(self, nil)
	sessions, members, found := map[int]bool{m.Session: true}, map[int]bool{}, map[int]bool{}
	tree := Tree{Root: self, Member: func(p Process) bool {
		if p.Session != own.Session && (sessions[p.Session] || m.mark(p.PID)) {
			// A zombie has no environment, but it has its session.
			members[p.PID], sessions[p.Session] = true, true
		}
		return members[p.PID]
	}}
	tree.Kill()
	tree.each(func(p Process) { found[p.PID] = true })
	for pid := range found {
		_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG|waitAll, nil)
	}
}

// mark reports whether a process has a mark besides its session.
func (m Marks) mark(pid int) bool {
	return hasVariable(pid, m.Variable) || inCgroup(pid, m.Cgroup) || isOf(pid, m.UID)
}

// isOf reports whether the process has the real user id.
func isOf(pid int, uid int64) bool {
	if uid == NoUID {
		return false
	}
	status := readAll("/proc/" + strconv.Itoa(pid) + "/status")
	return strings.Contains(string(status), "\nUid:\t"+strconv.FormatInt(uid, 10)+"\t")
}

// hasVariable reports whether the process was started with a variable, given as "NAME=value".
func hasVariable(pid int, variable string) bool {
	return slices.Contains(splitZero(readAll("/proc/"+strconv.Itoa(pid)+"/environ")), variable)
}

// inCgroup reports whether the process is in the cgroup.
func inCgroup(pid int, cgroup string) bool {
	if cgroup == "" {
		return false
	}
	groups := readAll("/proc/" + strconv.Itoa(pid) + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		if strings.TrimSuffix(line, "\n") == "0::"+cgroup {
			return true
		}
	}
	return false
}
