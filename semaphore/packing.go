package semaphore

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/attune-go/attune"
)

// packed is a list of tickets or holders as base64 of varints. Each element has its differences from the previous one. A ticket
// takes 3 to 8 bytes in practice, and up to 4 more for its lane; a holder takes about 20.
type packed struct {
	Count  int    `json:"count"`
	Packed string `json:"packed"`
}

var errDamaged = errors.New("the packed list of tickets is damaged")

// The columns that a ticket has only if they differ from those of the previous ticket. The bits stand in front of the ticket,
// below the difference of its sequence.
const (
	otherLane = 1 << iota
	otherAction
	otherAttempt

	changeBits = 3
)

// The flags of a holder.
const (
	flagDelivered = 1 << iota
	flagReplaced
	flagAskedToEnd
)

// packer writes a packed list.
type packer struct {
	buf    []byte
	ticket attune.Ticket // the previous one
	holder Holder        // the previous one
}

func pack(tickets []attune.Ticket) packed { return packAll(tickets, (*packer).addTicket) }

func packHolders(holders []Holder) packed { return packAll(holders, (*packer).addHolder) }

func packAll[T any](elements []T, add func(*packer, T)) packed {
	if len(elements) == 0 {
		return packed{}
	}
	p := &packer{ticket: beforeFirst()}
	for _, element := range elements {
		add(p, element)
	}
	return packed{Count: len(elements), Packed: base64.RawStdEncoding.EncodeToString(p.buf)}
}

// beforeFirst is the ticket whose differences the first ticket of a list has.
func beforeFirst() attune.Ticket { return attune.Ticket{EnqueuedAt: time.UnixMilli(0)} }

// packPlaces packs places as tickets without a time.
func packPlaces(places []place) packed {
	tickets := make([]attune.Ticket, len(places))
	for i, p := range places {
		tickets[i] = attune.Ticket{Enforcement: p.Enforcement, Sequence: p.Sequence, EnqueuedAt: time.UnixMilli(0)}
	}
	return pack(tickets)
}

func (p *packer) add(value int64) { p.buf = binary.AppendVarint(p.buf, value) }

func (p *packer) addTicket(t attune.Ticket) {
	changes, before := int64(0), p.ticket
	if t.Lane != before.Lane {
		changes |= otherLane
	}
	if t.Action != before.Action {
		changes |= otherAction
	}
	if t.Attempt != before.Attempt {
		changes |= otherAttempt
	}
	p.add((t.Sequence-before.Sequence)<<changeBits | changes)
	p.add(int64(t.Enforcement - before.Enforcement))
	p.add(t.EnqueuedAt.UnixMilli() - before.EnqueuedAt.UnixMilli())
	if changes&otherLane != 0 {
		p.add(int64(t.Lane) - int64(before.Lane))
	}
	if changes&otherAction != 0 {
		p.add(int64(t.Action - before.Action))
	}
	if changes&otherAttempt != 0 {
		p.add(int64(t.Attempt))
	}
	p.ticket = t
}

func (p *packer) addHolder(h Holder) {
	p.addTicket(h.Ticket)
	before, flags := p.holder, int64(0)
	if h.Delivered {
		flags |= flagDelivered
	}
	if h.Replaced {
		flags |= flagReplaced
	}
	if h.AskedToEnd {
		flags |= flagAskedToEnd
	}
	p.add(flags)
	p.add(h.Generation - before.Generation)
	p.add(h.Number - before.Number)
	p.add(h.GrantedAt.UnixMilli() - before.GrantedAt.UnixMilli())
	p.add(h.NotBefore.UnixMilli() - before.NotBefore.UnixMilli())
	p.add(h.StartedAt.UnixMilli() - before.StartedAt.UnixMilli())
	p.add(h.InspectAt.UnixMilli() - before.InspectAt.UnixMilli())
	p.add(int64(h.Limit - before.Limit))
	p.add(h.Revision - before.Revision)
	p.add(int64(len(h.Freed)))
	for _, sequence := range h.Freed {
		p.add(h.Sequence - sequence)
	}
	p.add(h.SettledBefore - before.SettledBefore)
	p.add(h.Changes - before.Changes)
	p.holder = h
}

// unpacker reads a packed list. After the first error it reads only zeros.
type unpacker struct {
	buf    []byte
	err    error
	ticket attune.Ticket // the previous one
	holder Holder        // the previous one
}

func (p packed) unpack() ([]attune.Ticket, error) { return unpackAll(p, (*unpacker).readTicket) }

func (p packed) unpackHolders() ([]Holder, error) { return unpackAll(p, (*unpacker).readHolder) }

func unpackAll[T any](p packed, read func(*unpacker) T) ([]T, error) {
	u, err := p.open()
	if err != nil {
		return nil, err
	}
	var elements []T
	for range p.Count {
		elements = append(elements, read(u))
	}
	return elements, u.end()
}

func (p packed) unpackPlaces() ([]place, error) {
	tickets, err := p.unpack()
	var places []place
	for _, ticket := range tickets {
		places = append(places, placeOf(ticket))
	}
	return places, err
}

func (p packed) open() (*unpacker, error) {
	buf, err := base64.RawStdEncoding.DecodeString(p.Packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if p.Count < 0 || p.Count > len(buf) {
		return nil, fmt.Errorf("%w: %d tickets in %d bytes", errDamaged, p.Count, len(buf))
	}
	return &unpacker{buf: buf, ticket: beforeFirst()}, nil
}

// end returns the error of a list that does not end where its last element does.
func (u *unpacker) end() error {
	if u.err == nil && len(u.buf) > 0 {
		return fmt.Errorf("%w: %d bytes too many", errDamaged, len(u.buf))
	}
	return u.err
}

func (u *unpacker) next() int64 {
	value, n := binary.Varint(u.buf)
	if n <= 0 {
		u.buf, u.err = nil, errDamaged
		return 0
	}
	u.buf = u.buf[n:]
	return value
}

func (u *unpacker) time(before time.Time) time.Time {
	return time.UnixMilli(before.UnixMilli() + u.next()).UTC()
}

func (u *unpacker) readTicket() attune.Ticket {
	t, first := u.ticket, u.next()
	t.Sequence += first >> changeBits
	t.Enforcement += attune.EnforcementID(u.next())
	t.EnqueuedAt = u.time(t.EnqueuedAt)
	if first&otherLane != 0 {
		lane := int64(t.Lane) + u.next()
		if lane < 0 || lane > math.MaxInt32 {
			u.buf, u.err = nil, fmt.Errorf("%w: lane of sequence %d", errDamaged, t.Sequence)
		}
		t.Lane = int32(lane)
	}
	if first&otherAction != 0 {
		t.Action += attune.ActionID(u.next())
	}
	if first&otherAttempt != 0 {
		t.Attempt = int(u.next())
	}
	u.ticket = t
	return t
}

// readFreed reads the sequences of freed slots, as differences from that of the holder.
func (u *unpacker) readFreed(sequence int64) []int64 {
	var freed []int64
	for n := u.next(); n > 0 && u.err == nil; n-- {
		freed = append(freed, sequence-u.next())
	}
	return freed
}

func (u *unpacker) readHolder() Holder {
	ticket := u.readTicket()
	h, flags := u.holder, u.next()
	h.Ticket = ticket
	h.Delivered, h.Replaced, h.AskedToEnd = flags&flagDelivered != 0, flags&flagReplaced != 0, flags&flagAskedToEnd != 0
	h.Generation += u.next()
	h.Number += u.next()
	h.GrantedAt = u.time(h.GrantedAt)
	h.NotBefore = u.time(h.NotBefore)
	h.StartedAt = u.time(h.StartedAt)
	h.InspectAt = u.time(h.InspectAt)
	h.Limit += int(u.next())
	h.Revision += u.next()
	h.Freed = u.readFreed(h.Sequence)
	h.SettledBefore += u.next()
	h.Changes += u.next()
	u.holder = h
	return h
}
