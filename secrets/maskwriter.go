package secrets

import (
	"io"

	"github.com/attune-go/attune"
)

// maskEvery is how many bytes a writer collects before it searches them. The search reads the held back bytes again.
const maskEvery = 32 << 10

// maskWriter masks a stream.
type maskWriter struct {
	masker  *Masker
	out     io.Writer
	pending []byte // written to the writer, and not yet to out
	covered int    // bytes at the start of pending that an earlier occurrence covers
	masked  bool   // the last byte that went to out was covered
}

// Write implements [io.Writer].
func (w *maskWriter) Write(p []byte) (int, error) {
	w.pending = append(w.pending, p...)
	if len(w.pending) < w.masker.longest+maskEvery {
		return len(p), nil
	}
	// An occurrence that begins before the last longest-1 bytes is complete.
	return len(p), w.flush(len(w.pending) - w.masker.longest + 1)
}

// Close writes what was held back. It does not close the writer below.
func (w *maskWriter) Close() error { return w.flush(len(w.pending)) }

// flush writes the first n bytes of pending. Every occurrence that begins in them is in pending.
func (w *maskWriter) flush(n int) error {
	var out []byte
	at, covered := 0, w.covered
	clear := func(to int) { // bytes that nothing covers
		if to > at {
			out = append(out, w.pending[at:to]...)
			at, w.masked = to, false
		}
	}
	cover := func(to int) {
		if to > at {
			if !w.masked {
				out = append(out, attune.SecretMask...)
			}
			at, w.masked = to, true
		}
	}
	cover(min(covered, n))
	for _, s := range w.masker.spans(w.pending) {
		if s.from >= n {
			break
		}
		clear(s.from)
		covered = max(covered, s.to)
		cover(min(s.to, n))
	}
	clear(n)
	w.pending = append(w.pending[:0], w.pending[n:]...)
	w.covered = max(0, covered-n)
	_, err := w.out.Write(out)
	return err
}
