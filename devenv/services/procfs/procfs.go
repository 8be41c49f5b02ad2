// Package procfs reads process data from Linux's /proc. On other systems it finds no process.
package procfs

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Stat is the part of /proc/<pid>/stat that attune uses; see proc(5).
type Stat struct {
	State  string // of the first thread; "Z": it has ended and is not reaped yet
	Parent int
	Group  int
	// Threads counts the first thread too, until the process is reaped.
	Threads int
	// Started is in clock ticks since boot. Together with the id it identifies a process uniquely.
	Started string
}

// Running reports whether the process runs. A zombie does not run, unless only its first thread has ended.
func (s Stat) Running() bool { return s.State != "Z" && s.State != "X" || s.Threads > 1 }

// Read returns the state of a process; false if the process does not exist.
func Read(pid int) (Stat, bool) {
	fields, ok := read(pid)
	if !ok {
		return Stat{}, false
	}
	parent, _ := strconv.Atoi(fields[1]) // the kernel writes numbers here
	group, _ := strconv.Atoi(fields[2])
	threads, _ := strconv.Atoi(fields[17])
	return Stat{State: fields[0], Parent: parent, Group: group, Threads: threads, Started: fields[19]}, true
}

// read returns the fields of /proc/<pid>/stat from the third one, the state.
func read(pid int) (fields []string, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, false
	}
	// The second field is the command name in parentheses, which may contain parentheses and spaces.
	fields = strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	return fields, len(fields) >= 20
}

// All returns the state of every process by its id.
func All() map[int]Stat {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	all := make(map[int]Stat, len(entries))
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		if stat, ok := Read(pid); ok {
			all[pid] = stat
		}
	}
	return all
}
