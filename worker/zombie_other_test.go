//go:build !linux

package worker_test

// runZombieLeader does nothing: only Linux shows a process whose first thread has ended.
func runZombieLeader() bool { return false }
