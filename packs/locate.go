package packs

import "unicode"

// locate returns the place in the file of a position inside a text. line and column count from 1 within the text; line 0 means
// the text as a whole.
//
// Indentation, folding and line breaks change only white space. So locate counts the other characters before the position, and
// skips as many in the file. That works for plain, quoted and block texts of any number of lines.
func (s *source) locate(n *node, line, column int) place {
	if n.kind != kindText || line == 0 {
		return n.place
	}
	c := s.cursor(n)
	for range countNonSpace(n.text, line, column) {
		c.skipSpace()
		c.skip()
	}
	if countNonSpace(n.text, line, column) < countNonSpace(n.text, len(n.text)+1, 1) {
		c.skipSpace()
	}
	return place{c.line + 1, c.column + 1}
}

// countNonSpace counts the characters before a position, without white space.
func countNonSpace(text string, line, column int) int {
	count, l, c := 0, 1, 1
	for _, r := range text {
		if l > line || l == line && c >= column {
			break
		}
		c++
		if r == '\n' {
			l, c = l+1, 1
		}
		if !unicode.IsSpace(r) {
			count++
		}
	}
	return count
}

// cursor walks over the characters of a text in the file.
type cursor struct {
	lines        [][]rune
	style        style
	line, column int // of the next character, from 0
}

// cursor returns a cursor at the first character of a text.
func (s *source) cursor(n *node) cursor {
	c := cursor{lines: s.lines, style: n.style, line: n.line - 1, column: n.column - 1}
	switch n.style {
	case stylePlain:
	case styleSingle, styleDouble:
		c.column++ // the quote
	case styleBlock:
		c.line, c.column = n.line, 0 // the line after the indicator
	}
	return c
}

// at returns the character at an offset from the cursor in its line; 0 after the end of the line.
func (c *cursor) at(offset int) rune {
	if c.line >= len(c.lines) || c.column+offset >= len(c.lines[c.line]) {
		return 0
	}
	return c.lines[c.line][c.column+offset]
}

// skipSpace moves to the next character that is not white space. It skips ends of lines and escapes of white space.
func (c *cursor) skipSpace() {
	for c.line < len(c.lines) {
		switch {
		case c.column >= len(c.lines[c.line]):
			c.line, c.column = c.line+1, 0
		case unicode.IsSpace(c.at(0)):
			c.column++
		case c.style == styleDouble && c.at(0) == '\\' && isSpaceEscape(c.at(1)):
			c.column += 2
		default:
			return
		}
	}
}

// skip moves over one character, which may be written as an escape.
func (c *cursor) skip() {
	switch {
	case c.style == styleSingle && c.at(0) == '\'' && c.at(1) == '\'':
		c.column += 2
	case c.style == styleDouble && c.at(0) == '\\':
		c.column += escapeLength(c.at(1))
	default:
		c.column++
	}
}

// isSpaceEscape reports whether the escape of a backslash and r is white space; r is 0 at the end of a line.
func isSpaceEscape(r rune) bool {
	switch r {
	case 'n', 't', 'r', 'v', 'f', 'N', 'L', 'P', '_', ' ', 0:
		return true
	default:
		return false
	}
}

// escapeLength returns the number of characters of an escape with r after the backslash.
func escapeLength(r rune) int {
	switch r {
	case 'x':
		return 4
	case 'u':
		return 6
	case 'U':
		return 10
	default:
		return 2
	}
}
