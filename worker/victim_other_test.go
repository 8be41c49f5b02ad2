//go:build !linux

package worker_test

func runVictim() bool { return false }

func runLimiter() bool { return false }
