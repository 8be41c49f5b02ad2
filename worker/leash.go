package worker

import (
	"sync"
	"time"
)

// leash tells the process of an attempt until when it may run. The renewer lengthens it, before and after the process has
// started. The zero leash ends at the zero time.
type leash struct {
	mu       sync.Mutex
	end      time.Time
	lengthen func(time.Time) // tells the process about a new end; nil until there is a process
}

// set replaces the end. It does not block.
func (l *leash) set(end time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = end
	if l.lengthen != nil {
		l.lengthen(end)
	}
}

// now returns the current end.
func (l *leash) now() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// attach calls lengthen with every later end, and with the current one if it is not known. lengthen must not block.
func (l *leash) attach(known time.Time, lengthen func(time.Time)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lengthen = lengthen
	if !l.end.Equal(known) {
		lengthen(l.end)
	}
}
