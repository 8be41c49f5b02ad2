package secrets

import "strings"

// track is one way to read a stream: the state of a finder, and the places of the bytes that led to it.
type track struct {
	finder *finder
	state  int32
	places []span // the places of the last bytes: at least those that the state stands for, and the one before them
	edge   bool   // the next byte holds bits of the value before it, if it is a character of base64
	bytes  []byte // the bytes at these places
}

// read reads a byte, and returns the part that it completes, if there is one.
func (t *track) read(b byte, at span) (found span, ok bool) {
	t.state = t.finder.next(t.state, b)
	reached := &t.finder.states[t.state]
	t.places, t.bytes = append(t.places, at), append(t.bytes, b)
	if t.edge && inBase64(b) {
		found, ok = at, true
	}
	t.edge = reached.edges&trailing != 0
	if reached.found > 0 {
		first := len(t.places) - int(reached.found)
		if reached.edges&leading != 0 && first > 0 && inBase64(t.bytes[first-1]) {
			first--
		}
		found, ok = span{t.places[first].from, at.to}, true
	}
	if keep := int(reached.depth) + 1; len(t.places) >= 2*keep+maskEvery/8 {
		t.places = append(t.places[:0], t.places[len(t.places)-keep:]...)
		t.bytes = append(t.bytes[:0], t.bytes[len(t.bytes)-keep:]...)
	}
	return found, ok
}

// pendingFrom returns the place from which on a later value can cover bytes; end if there is none. A value that ends later begins in the
// bytes that the state stands for, and can have an edge before them.
func (t *track) pendingFrom(end int) int {
	keep := min(int(t.finder.states[t.state].depth)+1, len(t.places))
	if keep == 0 {
		return end
	}
	return max(t.places[len(t.places)-keep].from, 0)
}

// move counts the places from n on.
func (t *track) move(n int) {
	for i := range t.places {
		t.places[i].from -= n
		t.places[i].to -= n
	}
}

// inBase64 reports whether b is a character of base64, also of that for URLs. The padding is none.
func inBase64(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("+/-_", b) >= 0
}
