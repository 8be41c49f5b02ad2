//go:build !linux

package worker

func OrderAndDie() bool { return false }
