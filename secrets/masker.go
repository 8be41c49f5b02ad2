package secrets

import (
	"bytes"
	"io"

	"github.com/attune-go/attune"
)

// Masker replaces secret values in text. It does not change, and is safe for concurrent use. A nil Masker replaces nothing.
//
// It reads each byte once, however many values there are.
type Masker struct{ finder *finder }

// NewMasker returns a masker of values. It ignores values shorter than [attune.MinSecretBytes]. Without values it returns nil.
func NewMasker(values []string) *Masker {
	var texts []form
	for _, value := range values {
		if len(value) >= attune.MinSecretBytes {
			texts = append(texts, forms(value)...)
		}
	}
	if texts == nil {
		return nil
	}
	return &Masker{finder: newFinder(texts)}
}

// Text returns a text in which every secret value is [attune.SecretMask]. Values that overlap or touch become one mask.
func (m *Masker) Text(text string) string {
	if m == nil {
		return text
	}
	var b bytes.Buffer
	w := m.Writer(&b)
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.String()
}

// Writer returns a writer that masks what it writes to w, until its Close. It finds values across the bounds of writes, so it holds
// back the end of what was written. It writes to w from the goroutine that calls it, and returns the errors of w.
func (m *Masker) Writer(w io.Writer) io.WriteCloser {
	if m == nil {
		return unmasked{w}
	}
	return &maskWriter{finder: m.finder, out: w}
}

type unmasked struct{ io.Writer }

func (unmasked) Close() error { return nil }
