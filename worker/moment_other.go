//go:build !linux

package worker

func sinceBoot() bootTime { return 0 }
