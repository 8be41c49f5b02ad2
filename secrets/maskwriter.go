package secrets

import (
	"io"
	"strings"

	"github.com/attune-go/attune"
)

// maskEvery is how many bytes a writer collects before it writes them.
const maskEvery = 32 << 10

// maskWriter masks a stream.
type maskWriter struct {
	finder  *finder
	out     io.Writer
	state   int32  // of the finder, after the last byte
	pending []byte // written to the writer, and not yet to out
	covers  []span // the parts of pending to cover, in their order; they neither overlap nor touch
	masked  bool   // the last byte that went to out was covered
	edge    bool   // the next byte holds bits of the value before it, if it is a character of base64
}

// span is a part of a text that a mask covers: from its first byte to the byte after its last one.
type span struct{ from, to int }

// Write implements [io.Writer].
func (w *maskWriter) Write(p []byte) (int, error) {
	at := len(w.pending)
	w.pending = append(w.pending, p...)
	for i, b := range p {
		w.state = w.finder.next(w.state, b)
		w.take(at+i, b)
	}
	// A value that ends later begins in the bytes that the state stands for, and can have an edge before them.
	if decided := len(w.pending) - int(w.finder.states[w.state].depth) - 1; decided >= maskEvery {
		return len(p), w.flush(decided)
	}
	return len(p), nil
}

// take covers what the byte at a place of pending completes.
func (w *maskWriter) take(at int, b byte) {
	if w.edge && inBase64(b) {
		w.cover(span{at, at + 1})
	}
	reached := &w.finder.states[w.state]
	w.edge = reached.edges&trailing != 0
	if reached.found == 0 {
		return
	}
	from := at + 1 - int(reached.found)
	if reached.edges&leading != 0 && from > 0 && inBase64(w.pending[from-1]) {
		from--
	}
	w.cover(span{from, at + 1})
}

// inBase64 reports whether b is a character of base64, also of that for URLs. The padding is none.
func inBase64(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("+/-_", b) >= 0
}

// cover adds a part that ends after all others. It joins the parts that it overlaps or touches.
func (w *maskWriter) cover(s span) {
	last := len(w.covers) - 1
	for ; last >= 0 && w.covers[last].to >= s.from; last-- {
		s.from = min(s.from, w.covers[last].from)
	}
	w.covers = append(w.covers[:last+1], s)
}

// Close writes what was held back. It does not close the writer below.
func (w *maskWriter) Close() error { return w.flush(len(w.pending)) }

// flush writes the first n bytes of pending, which no later value covers.
func (w *maskWriter) flush(n int) error {
	var out []byte
	at, left := 0, w.covers[:0]
	for _, s := range w.covers {
		if s.from < n {
			if s.from > at {
				out = append(out, w.pending[at:s.from]...)
				w.masked = false
			}
			if !w.masked {
				out = append(out, attune.SecretMask...)
			}
			at, w.masked = min(s.to, n), true
		}
		if s.to > n {
			left = append(left, span{max(s.from-n, 0), s.to - n})
		}
	}
	if n > at {
		out = append(out, w.pending[at:n]...)
		w.masked = false
	}
	w.covers, w.pending = left, append(w.pending[:0], w.pending[n:]...)
	_, err := w.out.Write(out)
	return err
}
