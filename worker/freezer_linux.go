package worker

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// hierarchy is a tree of cgroups that can freeze processes.
type hierarchy struct {
	filesystem   string // its type, as in /proc/<pid>/mountinfo
	controller   string // of version 1; version 2 has none here
	file, thawed string // what to write to let the processes of a cgroup run
}

func version2() hierarchy {
	return hierarchy{filesystem: "cgroup2", file: "cgroup.freeze", thawed: "0"}
}

func version1() hierarchy {
	return hierarchy{filesystem: "cgroup", controller: "freezer", file: "freezer.state", thawed: "THAWED"}
}

// cgroupOf returns the cgroup of a process, given by its name in /proc, or the zero value if the system has no such hierarchy.
func cgroupOf(process string, h hierarchy) cgroupParent {
	name := ""
	groups, _ := os.ReadFile("/proc/" + process + "/cgroup")
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) == 3 && slices.Contains(strings.Split(fields[1], ","), h.controller) {
			name = fields[2]
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		const root, point = 3, 4 // see proc_pid_mountinfo(5)
		fields := strings.Fields(line)
		if len(fields) <= point || !h.mounted(line) {
			continue
		}
		if below, err := filepath.Rel(fields[root], name); err == nil && filepath.IsLocal(below) {
			return cgroupParent{filepath.Join(fields[point], below), name}
		}
	}
	return cgroupParent{}
}

// mounted reports whether a line of mountinfo is about the hierarchy.
func (h hierarchy) mounted(line string) bool {
	_, mount, _ := strings.Cut(line, " - ")
	fields := strings.Fields(mount) // type, source, options
	if len(fields) == 0 || fields[0] != h.filesystem {
		return false
	}
	return h.controller == "" || slices.Contains(strings.Split(fields[len(fields)-1], ","), h.controller)
}

// thaw lets a frozen process run, or end if it was killed, as far as the worker may: a process of the same user can move it into a
// cgroup and freeze that. A frozen cgroup of version 1 even keeps its processes from being killed. The cgroups of the worker itself are
// not frozen, because the worker runs.
func thaw(pid int) {
	for _, h := range []hierarchy{version2(), version1()} {
		own, frozen := cgroupOf("self", h), cgroupOf(strconv.Itoa(pid), h)
		for own.folder != "" && frozen.folder != "" && !frozen.contains(own) {
			_ = writeExisting(filepath.Join(frozen.folder, h.file), h.thawed)
			frozen = cgroupParent{filepath.Dir(frozen.folder), filepath.Dir(frozen.name)}
		}
	}
}

// contains reports whether other is the cgroup itself or below it.
func (p cgroupParent) contains(other cgroupParent) bool {
	below, err := filepath.Rel(p.name, other.name)
	return err == nil && filepath.IsLocal(below)
}
