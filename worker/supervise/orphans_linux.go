package supervise

import (
	"slices"
	"strconv"
	"syscall"
)

// KillOrphans kills the processes of an attempt whose supervisor has ended. They are children of the caller then, or
// below such children, because the caller is a subreaper. KillOrphans returns when all have ended, and reaps them. The
// caller may have other children, so a child belongs to the attempt only if it is in the session of the action's first
// process, or has the variable, such as "NAME=value", in the environment with which it was started.
//
// A process that has left its session and was started with another environment is not found.
func KillOrphans(session int, variable string) {
	self := syscall.Getpid()
	own, _ := readProcess(self, nil)
	sessions, members, found := map[int]bool{session: true}, map[int]bool{}, map[int]bool{}
	tree := Tree{Root: self, Member: func(p Process) bool {
		if p.Session != own.Session && (sessions[p.Session] || hasVariable(p.PID, variable)) {
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
