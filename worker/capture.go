package worker

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// capture keeps the beginning and the end of the bytes written to it: usually the first lines show what was attempted,
// and the last lines show what went wrong. A capture holds at most its limit. One goroutine writes a capture; other
// goroutines read it after that goroutine has ended.
type capture struct {
	half  int    // the limit of the head, and of the tail
	head  []byte // the first bytes
	tail  []byte // the last bytes that are not in head; a ring once it is full
	next  int    // index of the oldest byte of the ring, which the next byte replaces
	total int64  // all bytes ever written
}

func newCapture(limit int) *capture { return &capture{half: limit / 2} }

// Write implements io.Writer. It accepts all of p and returns no error.
func (c *capture) Write(p []byte) (int, error) {
	written := len(p)
	c.total += int64(written)
	p = c.fill(&c.head, p)
	if len(p) >= c.half {
		c.tail = append(c.tail[:0], p[len(p)-c.half:]...)
		c.next = 0
		return written, nil
	}
	p = c.fill(&c.tail, p)
	for len(p) > 0 {
		n := copy(c.tail[c.next:], p)
		c.next = (c.next + n) % c.half
		p = p[n:]
	}
	return written, nil
}

// fill appends to part as many bytes of p as fit and returns the rest of p.
func (c *capture) fill(part *[]byte, p []byte) []byte {
	n := min(c.half-len(*part), len(p))
	*part = append(*part, p[:n]...)
	return p[n:]
}

// truncated reports whether any byte was dropped.
func (c *capture) truncated() bool { return c.total > int64(len(c.head)+len(c.tail)) }

// bytes returns the kept bytes, without a mark at the gap.
func (c *capture) bytes() []byte {
	return slices.Concat(c.head, c.tail[c.next:], c.tail[:c.next])
}

// text returns the kept bytes as text that PostgreSQL can store: each run of NUL and of bytes that are not UTF-8 becomes
// one U+FFFD. At the gap, text inserts a line with the number of missing bytes, in addition to the limit.
func (c *capture) text() string {
	if !c.truncated() {
		return storableText(c.bytes())
	}
	missing := c.total - int64(len(c.head)+len(c.tail))
	return storableText(c.head) +
		fmt.Sprintf("\n[… %d bytes left out …]\n", missing) +
		storableText(slices.Concat(c.tail[c.next:], c.tail[:c.next]))
}

// lastLine returns the last non-blank line, cut to limit bytes.
func (c *capture) lastLine(limit int) string {
	kept := bytes.TrimSpace(c.bytes())
	line := bytes.TrimSpace(kept[bytes.LastIndexByte(kept, '\n')+1:])
	if len(line) > limit {
		return storableText(line[:limit]) + "…"
	}
	return storableText(line)
}

// notUTF8 is a byte that occurs nowhere in UTF-8.
const notUTF8 = 0xFF

func storableText(raw []byte) string {
	raw = bytes.ReplaceAll(raw, []byte{0}, []byte{notUTF8})
	return strings.ToValidUTF8(string(raw), "\uFFFD")
}
