package worker

import "time"

// bootTime is a time of the clock of supervisors: nanoseconds since the machine has started, time in suspension included. Outside
// Linux it is 0.
type bootTime int64

// moment is one moment on two clocks. The worker's timers run by the monotonic clock, which on Linux stands still while the
// machine is suspended.
type moment struct {
	at   time.Time
	boot bootTime
}

func now() moment { return moment{at: time.Now(), boot: sinceBoot()} }
