package worker

import "sync"

// leash tells the supervisor of an attempt until when the process may run. The renewer lengthens it, before and after the process
// has started. The zero leash has ended.
type leash struct {
	mu       sync.Mutex
	end      bootTime
	lengthen func(bootTime) // tells the supervisor about a new end; nil until there is a process
}

// set replaces the end. It does not block.
func (l *leash) set(end bootTime) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.end = end
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

// attach calls lengthen with every later end, and with the current one if it is not known. lengthen must not block.
func (l *leash) attach(known bootTime, lengthen func(bootTime)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lengthen = lengthen
	if l.end != known {
		lengthen(l.end)
	}
}
