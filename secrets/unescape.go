package secrets

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// unescaper decodes the escapes of JSON strings in a stream: programs choose which characters they escape, and the case of the digits.
// What is no escape stays as it is.
type unescaper struct {
	held []byte // the begin of an escape
	from int    // its place
	high rune   // the first half of a pair (UTF-16) that was decoded before held; 0 if there is none
	pair int    // its place
}

// visitor is called with each byte of the decoded stream, and the part of the stream that it stands for.
type visitor func(b byte, at span)

// escapeBytes is the length of an escape by number, such as \u00e9.
const escapeBytes = 6

// read reads a byte at a place.
func (u *unescaper) read(b byte, at int, visit visitor) {
	if len(u.held) == 0 {
		if b == '\\' {
			u.held, u.from = append(u.held, b), at
			return
		}
		if u.high != 0 {
			u.dropHigh(visit)
		}
		visit(b, span{at, at + 1})
		return
	}
	switch n := len(u.held); {
	case n == 1 && b == 'u', n > 1 && isHex(b):
		if u.held = append(u.held, b); len(u.held) == escapeBytes {
			u.decodeNumber(at+1, visit)
		}
	case n == 1 && shortEscapes(b) != 0:
		u.held = u.held[:0]
		u.dropHigh(visit)
		visit(shortEscapes(b), span{u.from, at + 1})
	default:
		u.end(visit)
		u.read(b, at, visit)
	}
}

// decodeNumber decodes the escape that is held.
func (u *unescaper) decodeNumber(to int, visit visitor) {
	number, _ := strconv.ParseUint(string(u.held[2:]), 16, 32) // four hexadecimal digits
	r, from := rune(number), u.from
	u.held = u.held[:0]
	if both := utf16.DecodeRune(u.high, r); both != utf8.RuneError {
		r, from, u.high = both, u.pair, 0
	}
	u.dropHigh(visit)
	if r >= 0xD800 && r < 0xDC00 {
		u.high, u.pair = r, from
		return
	}
	visitRune(r, span{from, to}, visit)
}

// dropHigh ends the wait for the second half of a pair.
func (u *unescaper) dropHigh(visit visitor) {
	if u.high != 0 {
		u.high = 0
		visitRune(utf8.RuneError, span{u.pair, u.pair + escapeBytes}, visit)
	}
}

func visitRune(r rune, at span, visit visitor) {
	var text [utf8.UTFMax]byte
	for _, b := range text[:utf8.EncodeRune(text[:], r)] {
		visit(b, at)
	}
}

// end passes on what is held: it is no escape.
func (u *unescaper) end(visit visitor) {
	u.dropHigh(visit)
	for i, b := range u.held {
		visit(b, span{u.from + i, u.from + i + 1})
	}
	u.held = u.held[:0]
}

// pendingFrom returns the place of what is held; end if that is nothing.
func (u *unescaper) pendingFrom(end int) int {
	switch {
	case u.high != 0:
		return u.pair
	case len(u.held) > 0:
		return u.from
	default:
		return end
	}
}

// move counts the places from n on.
func (u *unescaper) move(n int) { u.from, u.pair = u.from-n, u.pair-n }

// shortEscapes returns the character of an escape with one letter; 0 if there is none.
func shortEscapes(b byte) byte {
	switch b {
	case '"', '\\', '/', '\'':
		return b
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return 0
	}
}

func isHex(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F'
}
