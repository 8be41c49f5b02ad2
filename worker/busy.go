package worker

import "time"

// The kernel refuses some calls for an instant. It does not execute a file that a process has open for writing (ETXTBSY): usually
// that process was forked an instant ago and has not closed its inherited copy yet. It does not remove a cgroup whose processes are
// ending (EBUSY). So the worker repeats such a call for about half a second.
const (
	busyTries = 50
	busyPause = 10 * time.Millisecond
)
