package rabbitmq

import (
	"encoding/binary"
	"io"
	"net"
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	frameOfHeader, frameOfBody = 2, 3 // types of frames
	frameStart                 = 7    // bytes before the payload: type, channel, size
	propertiesStart            = 14   // bytes of a content header before the properties: class, weight, size of the body, flags
	maxHeaderFrame             = 1 << 20

	// maxHeaders bounds the headers of a message in bytes. The headers that attune and the broker write take less than half of it.
	maxHeaders = 8 << 10
	// maxHeaderDepth bounds the nesting of headers. The record of the broker about dead letters (x-death) has a depth of 3.
	maxHeaderDepth = 8
)

// The headers of a message that has arrived without its own ones.
const (
	HeaderDropped  = "attune-headers-dropped" // true: the headers were too large, nested too deep, or not readable
	HeaderBodySize = "attune-body-dropped"    // the size in bytes of a body that was too large
)

// frames is a connection to the broker that keeps away from the library what would close the connection or fill the memory: headers that
// the library cannot read, and large bodies. A message without its headers or body still arrives and can be settled. Otherwise the
// broker would deliver it again and again, and each time the connection would close.
type frames struct {
	net.Conn

	maxBody uint64 // 0 for no limit
	pass    int64  // bytes of the current frame that follow unchanged
	ready   []byte // bytes of a changed frame
	dropped map[uint16]uint64
}

func newFrames(conn net.Conn, maxBody int) *frames {
	return &frames{Conn: conn, maxBody: uint64(max(0, maxBody)), dropped: map[uint16]uint64{}}
}

// Read implements [net.Conn].
func (f *frames) Read(p []byte) (int, error) {
	for len(f.ready) == 0 && f.pass == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if len(f.ready) > 0 {
		n := copy(p, f.ready)
		f.ready = f.ready[n:]
		return n, nil
	}
	n, err := f.Conn.Read(p[:min(int64(len(p)), f.pass)])
	f.pass -= int64(n)
	return n, err
}

// next reads the start of a frame, and all of a content header.
func (f *frames) next() error {
	start := make([]byte, frameStart)
	if n, err := io.ReadFull(f.Conn, start); err != nil {
		f.ready = start[:n]
		if n > 0 {
			return nil
		}
		return err
	}
	channel, size := binary.BigEndian.Uint16(start[1:]), binary.BigEndian.Uint32(start[3:])
	switch {
	case start[0] == frameOfBody && f.dropped[channel] > 0:
		return f.drop(channel, size)
	case start[0] != frameOfHeader || size < propertiesStart || size > maxHeaderFrame:
		f.ready, f.pass = start, int64(size)+1 // with the byte that ends the frame
		return nil
	}
	payload := make([]byte, size+1)
	if _, err := io.ReadFull(f.Conn, payload); err != nil {
		return err
	}
	content := f.content(channel, payload[:size])
	binary.BigEndian.PutUint32(start[3:], uint32(len(content)))
	f.ready = slices.Concat(start, content, payload[size:])
	return nil
}

// drop skips a frame of a body that is too large.
func (f *frames) drop(channel uint16, size uint32) error {
	f.dropped[channel] -= min(f.dropped[channel], uint64(size))
	_, err := io.CopyN(io.Discard, f.Conn, int64(size)+1)
	return err
}

// content returns a content header that the library can read, and drops a body that is too large.
func (f *frames) content(channel uint16, payload []byte) []byte {
	size := binary.BigEndian.Uint64(payload[4:])
	tooLarge := f.maxBody > 0 && size > f.maxBody
	start, end, ok := headersOf(payload)
	if !ok {
		return payload // not what a broker sends
	}
	if !tooLarge && end-start <= maxHeaders && readable(payload[start:end], maxHeaderDepth) {
		return payload
	}
	marks := amqp.Table{HeaderDropped: true}
	if tooLarge {
		f.dropped[channel] = size
		marks[HeaderBodySize] = int64(min(size, 1<<62))
		size = 0
	}
	changed := slices.Clone(payload[:start])
	binary.BigEndian.PutUint64(changed[4:], size)
	changed[12] |= flagHeaders
	changed = append(changed, encodeMarks(marks)...)
	return append(changed, payload[end:]...)
}

// The first byte of the flags of a content header.
const (
	flagContentType     = 0x80
	flagContentEncoding = 0x40
	flagHeaders         = 0x20
)

// headersOf returns the place of the table of headers in a content header. A message without headers has an empty place.
func headersOf(payload []byte) (start, end int, ok bool) {
	start = propertiesStart
	for _, flag := range []byte{flagContentType, flagContentEncoding} {
		if payload[12]&flag == 0 {
			continue
		}
		if start >= len(payload) {
			return 0, 0, false
		}
		start += 1 + int(payload[start])
	}
	if start > len(payload) {
		return 0, 0, false
	}
	if payload[12]&flagHeaders == 0 {
		return start, start, true
	}
	if start+4 > len(payload) {
		return 0, 0, false
	}
	end = start + 4 + int(binary.BigEndian.Uint32(payload[start:]))
	return start, end, end <= len(payload)
}

// encodeMarks returns a table of true bools and positive int64s as in a content header.
func encodeMarks(marks amqp.Table) []byte {
	var entries []byte
	for name, value := range marks {
		entries = append(entries, byte(len(name)))
		entries = append(entries, name...)
		switch value := value.(type) {
		case bool:
			entries = append(entries, 't', 1)
		case int64:
			entries = append(entries, 'l')
			entries = binary.BigEndian.AppendUint64(entries, uint64(value))
		}
	}
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(entries))), entries...)
}
