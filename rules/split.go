package rules

import (
	"strings"
	"unicode/utf8"
)

// span is one template in a string: the offsets of its "{{" and "}}".
type span struct{ open, close int }

// split returns the templates of a string.
func split(s string) ([]span, *Mistake) {
	var spans []span
	for from := 0; ; {
		open := strings.Index(s[from:], "{{")
		if open < 0 {
			return spans, nil
		}
		open += from
		end := closing(s, open+len("{{"))
		if end < 0 {
			line, column := position(s, open)
			return nil, &Mistake{Line: line, Column: column, Message: `"{{" without "}}"; to write two braces, write {{ "{{" }}`}
		}
		spans = append(spans, span{open, end})
		from = end + len("}}")
	}
}

// closing returns the offset of the "}}" that ends the expression at i, or -1. It skips braces inside CEL's strings, comments and
// map literals.
func closing(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\'':
			i = skipString(s, i)
			continue
		case strings.HasPrefix(s[i:], "//"):
			i = skipLine(s, i)
			continue
		case c == '{':
			depth++
		case c == '}' && depth > 0:
			depth--
		case strings.HasPrefix(s[i:], "}}"):
			return i
		}
		i++
	}
	return -1
}

// skipString returns the offset after the CEL string that begins with the quote at i.
func skipString(s string, i int) int {
	raw := isRaw(s, i)
	quote := s[i : i+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(s[i:], triple) {
		quote = triple
	}
	for i += len(quote); i < len(s); i++ {
		switch {
		case s[i] == '\\' && !raw:
			i++
		case strings.HasPrefix(s[i:], quote):
			return i + len(quote)
		}
	}
	return len(s)
}

// isRaw reports whether the string at i has a prefix such as r, R or br, and therefore no escapes. A letter that belongs to a
// name is not a prefix.
func isRaw(s string, i int) bool {
	start := i
	for start > 0 && isNameByte(s[start-1]) {
		start--
	}
	switch strings.ToLower(s[start:i]) {
	case "r", "br", "rb":
		return true
	default:
		return false
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// skipLine returns the offset of the end of the comment at i. A comment ends at the end of its line, or at "}}": otherwise a
// template on one line could not end.
func skipLine(s string, i int) int {
	line, _, _ := strings.Cut(s[i:], "\n")
	if end := strings.Index(line, "}}"); end >= 0 {
		return i + end
	}
	return i + len(line)
}

// position returns the line and the column of an offset. Both count from 1; a column is a code point.
func position(s string, offset int) (line, column int) {
	before := s[:offset]
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
}
