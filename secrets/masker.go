package secrets

import (
	"bytes"
	"cmp"
	"io"
	"slices"

	"github.com/attune-go/attune"
)

// Masker replaces secret values in text. It does not change, and is safe for concurrent use. A nil Masker replaces nothing.
type Masker struct {
	patterns []pattern
	longest  int // bytes of the longest pattern
}

// pattern is one text to replace.
type pattern struct {
	text   []byte
	period int // the least distance of two places in which the text can occur
}

// NewMasker returns a masker of values. It ignores values shorter than [attune.MinSecretBytes]. Without values it returns nil.
func NewMasker(values []string) *Masker {
	var texts [][]byte
	for _, value := range values {
		if len(value) >= attune.MinSecretBytes {
			texts = append(texts, forms(value)...)
		}
	}
	if texts == nil {
		return nil
	}
	slices.SortFunc(texts, bytes.Compare)
	texts = slices.CompactFunc(texts, bytes.Equal)
	m := &Masker{}
	for _, text := range texts {
		m.patterns = append(m.patterns, pattern{text: text, period: periodOf(text)})
		m.longest = max(m.longest, len(text))
	}
	return m
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
	return &maskWriter{masker: m, out: w}
}

type unmasked struct{ io.Writer }

func (unmasked) Close() error { return nil }

// span is a part of a text that a mask covers: from its first byte to the byte after its last one.
type span struct{ from, to int }

// spans returns the parts of a text to cover, in their order. They neither overlap nor touch.
func (m *Masker) spans(text []byte) []span {
	var all []span
	for _, p := range m.patterns {
		all = p.appendSpans(all, text)
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var merged []span
	for _, s := range all {
		if last := len(merged) - 1; last >= 0 && s.from <= merged[last].to {
			merged[last].to = max(merged[last].to, s.to)
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// appendSpans appends the parts of text in which the pattern occurs. The time is linear in the length of the text: from an occurrence
// to the next one it skips the period, and a run of overlapping occurrences is read once.
func (p pattern) appendSpans(all []span, text []byte) []span {
	for from := 0; ; {
		i := bytes.Index(text[from:], p.text)
		if i < 0 {
			return all
		}
		s := span{from + i, from + i + len(p.text)}
		run := s.to
		for run < len(text) && text[run] == text[run-p.period] {
			run++
		}
		s.to += (run - s.to) / p.period * p.period // the end of the last occurrence of the run
		all = append(all, s)
		from = s.to - len(p.text) + p.period
	}
}

// periodOf returns the length of a text minus its longest part that is both its start and its end.
func periodOf(text []byte) int {
	borders := make([]int, len(text)+1) // by length of a start of the text; from Knuth, Morris and Pratt
	borders[0] = -1
	for i, k := 0, -1; i < len(text); {
		for k >= 0 && text[i] != text[k] {
			k = borders[k]
		}
		i, k = i+1, k+1
		borders[i] = k
	}
	return len(text) - borders[len(text)]
}
