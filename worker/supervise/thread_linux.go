package supervise

import "strconv"

// activity says what the threads of a process can do, from the least to the most.
type activity int

const (
	halted  activity = iota // every thread has stopped or ended: the process starts no other one until it is continued
	blocked                 // a thread waits for a device, and stops as soon as it could go on if SIGSTOP was sent
	active                  // a thread runs, or can run at any time
)

// activity returns what the most active thread can do. The state of the first thread says nothing about the others: it can have ended
// or stopped while they run.
func (p Process) activity() activity {
	if p.Threads <= 1 {
		return activityOf(p.State)
	}
	most, tasks, stat := halted, folderOf(p.PID)+"/task", make([]byte, 512)
	err := eachNumber(tasks, func(id int) bool {
		thread, ok, err := readStat(id, tasks+"/"+strconv.Itoa(id), stat)
		if ok {
			most = max(most, activityOf(thread.State))
		}
		if err != nil {
			most = active // as far as the caller can know
		}
		return most < active
	})
	if blind(err) != nil {
		return active
	}
	return most
}

// activityOf returns what a thread can do in a state.
func activityOf(state byte) activity {
	switch {
	case state == 'T' || state == 't' || threadEnded(state):
		return halted
	case state == 'D':
		return blocked
	default:
		return active
	}
}

// threadEnded reports whether a thread in the state has ended.
func threadEnded(state byte) bool { return state == 'Z' || state == 'X' }

// environment returns the environment with which a process was started. A thread that has ended shows none, also the first one, so
// environment asks the others.
func environment(pid int) ([]byte, error) {
	all, err := readAll(folderOf(pid) + "/environ")
	if err != nil || len(all) > 0 {
		return all, err
	}
	var failed error
	tasks := folderOf(pid) + "/task"
	err = eachNumber(tasks, func(id int) bool {
		all, failed = readAll(tasks + "/" + strconv.Itoa(id) + "/environ")
		return len(all) == 0 && failed == nil
	})
	if failed != nil {
		return nil, failed
	}
	return all, blind(err)
}

// folderOf returns the folder of a process in /proc.
func folderOf(pid int) string { return "/proc/" + strconv.Itoa(pid) }
