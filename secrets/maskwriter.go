package secrets

import (
	"io"

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
}

// span is a part of a text that a mask covers: from its first byte to the byte after its last one.
type span struct{ from, to int }

// Write implements [io.Writer].
func (w *maskWriter) Write(p []byte) (int, error) {
	at := len(w.pending)
	w.pending = append(w.pending, p...)
	for i, b := range p {
		w.state = w.finder.next(w.state, b)
		if found := int(w.finder.states[w.state].found); found > 0 {
			end := at + i + 1
			w.cover(span{end - found, end})
		}
	}
	// A value that ends later begins in the bytes that the state stands for.
	if decided := len(w.pending) - int(w.finder.states[w.state].depth); decided >= maskEvery {
		return len(p), w.flush(decided)
	}
	return len(p), nil
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
