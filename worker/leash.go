package worker

import (
	"sync"
	"time"
)

// leash tells the supervisor of an attempt until when the process may run. The renewer lengthens it, before and after the process
// has started. The zero leash has ended.
type leash struct {
	mu       sync.Mutex
	end      bootTime       // guarded by mu
	expires  bootTime       // guarded by mu; the end of the lease, later than end
	lengthen func(bootTime) // guarded by mu; tells the supervisor about a new end; nil until there is a process
}

// set replaces the end, and the end of the lease. It does not block.
func (l *leash) set(end, expires bootTime) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end, l.expires = end, expires
	if l.lengthen != nil {
		l.lengthen(end)
	}
}

// now returns the current end.
func (l *leash) now() bootTime {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// left returns how much of the lease is left at a time, at least 0.
func (l *leash) left(at bootTime) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Duration(l.expires-at))
}

// attach calls lengthen with every later end, and with the current one if it is not known. lengthen must not block.
func (l *leash) attach(known bootTime, lengthen func(bootTime)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lengthen = lengthen
	if l.end != known {
		lengthen(l.end)
	}
}
