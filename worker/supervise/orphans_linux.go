package supervise

import (
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// KillOrphans kills the processes of an attempt whose supervisor has ended. They are children of the caller then, or
// below such children, because the caller is a subreaper. KillOrphans returns when all have ended, and reaps them. The
// caller may have other children, so a child belongs to the attempt only if it is in the session of the action's first
// process, has the variable, such as "NAME=value", in the environment with which it was started, or is in the cgroup with
// that name. An empty name is no cgroup.
//
// Without a cgroup, a process that has left its session and was started with another environment is not found.
func KillOrphans(session int, variable, cgroup string) {
	self := syscall.Getpid()
	own, _ := readProcess(self, nil)
	sessions, members, found := map[int]bool{session: true}, map[int]bool{}, map[int]bool{}
	tree := Tree{Root: self, Member: func(p Process) bool {
		if p.Session != own.Session && (sessions[p.Session] || hasVariable(p.PID, variable) || inCgroup(p.PID, cgroup)) {
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
