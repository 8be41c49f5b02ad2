// Package procfs reads what Linux tells about processes. On other systems it knows of none.
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
	State  string // "Z" is a zombie: ended, and not yet reaped by its parent
	Parent int
	Group  int
	// Started is in clock ticks since boot. Together with the id it names a process for good.
	Started string
}

// Running reports whether the process is more than a zombie.
func (s Stat) Running() bool { return s.State != "Z" && s.State != "X" }

// Read returns the state of one process; false if there is none.
func Read(pid int) (Stat, bool) {
	fields, ok := read(pid)
	if !ok {
		return Stat{}, false
	}
	parent, _ := strconv.Atoi(fields[1]) // the kernel writes numbers here
	group, _ := strconv.Atoi(fields[2])
	return Stat{State: fields[0], Parent: parent, Group: group, Started: fields[19]}, true
}

// read returns the fields of /proc/<pid>/stat from the third on: the state of the process.
func read(pid int) (fields []string, ok bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, false
	}
	// The second field is the command name in brackets and may itself contain brackets and spaces.
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
