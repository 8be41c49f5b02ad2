package procfs

import (
	"strconv"
	"time"
)

// tick is the unit of processor times in /proc/<pid>/stat. Linux reports hundredths of a second to programs, whatever its
// internal unit is.
const tick = 10 * time.Millisecond

// Usage is processor time, of user and system together, in steps of 10 ms.
type Usage struct {
	Own    time.Duration // of the process, with all its threads
	Waited time.Duration // of its children that have ended and were waited for, and of their children
}

// Sum is Own plus Waited.
func (u Usage) Sum() time.Duration { return u.Own + u.Waited }

// ReadUsage returns the processor time of a process; false if the process does not exist.
func ReadUsage(pid int) (Usage, bool) {
	fields, ok := read(pid)
	if !ok {
		return Usage{}, false
	}
	return Usage{Own: ticks(fields[11]) + ticks(fields[12]), Waited: ticks(fields[13]) + ticks(fields[14])}, true
}

func ticks(field string) time.Duration {
	n, _ := strconv.ParseInt(field, 10, 64) // the kernel writes numbers here
	return time.Duration(n) * tick
}

// Family returns a process and every process below it, at any depth; none if the process does not exist.
func Family(pid int) []int {
	all := All()
	if _, ok := all[pid]; !ok {
		return nil
	}
	children := map[int][]int{}
	for id, stat := range all {
		children[stat.Parent] = append(children[stat.Parent], id)
	}
	family := []int{pid}
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}
