package secrets

import (
	"io"

	"github.com/attune-go/attune"
)

// maskEvery is how many bytes a writer collects before it writes them.
const maskEvery = 32 << 10

// maxBreak is the longest line break inside of base64 or hexadecimal, with the indent of the next line, in bytes.
const maxBreak = 64

// maskWriter masks a stream. It reads the stream in several ways at once, each on a track.
type maskWriter struct {
	raw       track // as it is
	plain     track // with JSON escapes decoded
	unwrapped track // likewise, without line breaks: programs break base64 and hexadecimal into lines
	breaks    int   // bytes of a line break, with the indent of the next line, since the last byte on the track unwrapped
	escapes   unescaper
	out       io.Writer
	pending   []byte // written to the writer, and not yet to out
	covers    []span // the parts of pending to cover, in their order; they neither overlap nor touch
	masked    bool   // the last byte that went to out was covered
}

// span is a part of a text that a mask covers: from its first byte to the byte after its last one.
type span struct{ from, to int }

// Write implements [io.Writer].
func (w *maskWriter) Write(p []byte) (int, error) {
	at := len(w.pending)
	w.pending = append(w.pending, p...)
	visit := w.readPlain
	for i, b := range p {
		w.read(&w.raw, b, span{at + i, at + i + 1})
		w.escapes.read(b, at+i, visit)
	}
	if decided := w.decided(); decided >= maskEvery {
		return len(p), w.flush(decided)
	}
	return len(p), nil
}

// readPlain reads a byte of the text with JSON escapes decoded, which stands at a part of pending.
func (w *maskWriter) readPlain(b byte, at span) {
	w.read(&w.plain, b, at)
	switch isBreak := b == '\r' || b == '\n'; {
	case !isBreak && (w.breaks == 0 || b != ' ' && b != '\t'):
		w.breaks = 0
		w.read(&w.unwrapped, b, at)
	case w.breaks == maxBreak:
		w.unwrapped = track{finder: w.unwrapped.finder} // so that pending stays short
	default:
		w.breaks++
	}
}

// read reads a byte on a track, and covers what it completes.
func (w *maskWriter) read(t *track, b byte, at span) {
	if found, ok := t.read(b, at); ok {
		w.cover(found)
	}
}

// decided returns how many bytes of pending no later value covers.
func (w *maskWriter) decided() int {
	decided := w.escapes.pendingFrom(len(w.pending))
	for _, t := range []*track{&w.raw, &w.plain, &w.unwrapped} {
		decided = min(decided, t.pendingFrom(len(w.pending)))
	}
	return decided
}

// cover adds a part. It joins the parts that it overlaps or touches, and those behind it: a track that decodes an escape reports a part
// a few bytes later than another track.
func (w *maskWriter) cover(s span) {
	last := len(w.covers) - 1
	for ; last >= 0 && w.covers[last].to >= s.from; last-- {
		s.from, s.to = min(s.from, w.covers[last].from), max(s.to, w.covers[last].to)
	}
	w.covers = append(w.covers[:last+1], s)
}

// Close writes what was held back. It does not close the writer below.
func (w *maskWriter) Close() error {
	w.escapes.end(w.readPlain)
	return w.flush(len(w.pending))
}

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
	w.escapes.move(n)
	for _, t := range []*track{&w.raw, &w.plain, &w.unwrapped} {
		t.move(n)
	}
	_, err := w.out.Write(out)
	return err
}
