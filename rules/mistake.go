package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// Mistake is one thing that is wrong with criteria, parameters or a schema, or with the value of one of them.
type Mistake struct {
	// Path leads from the top of the parameters, schema or payload to what is wrong: keys, and indexes from 0. It is empty
	// for criteria.
	Path []string
	// Line and Column are the place inside the text at Path, from 1, columns counted in code points. Both are 0 when the
	// mistake has no place in a text.
	Line, Column int
	Message      string
}

// String is the mistake in the form "/path: line:column: message", without the parts that are not known.
func (m Mistake) String() string {
	var b strings.Builder
	if len(m.Path) > 0 {
		b.WriteString(pointer(m.Path) + ": ")
	}
	if m.Line > 0 {
		fmt.Fprintf(&b, "%d:%d: ", m.Line, m.Column)
	}
	b.WriteString(m.Message)
	return b.String()
}

// Mistakes are all the things that are wrong, in the order of their places.
type Mistakes []Mistake

// String is the mistakes in one line.
func (m Mistakes) String() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "; ")
}

// err is the mistakes as an error, or nil if there are none.
func (m Mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return &CheckError{Mistakes: m}
}

// CheckError is the answer of a check that found mistakes. Its code is [attune.CodeInvalid].
type CheckError struct{ Mistakes Mistakes }

func (e *CheckError) Error() string { return e.Mistakes.String() }

// Unwrap gives the error its code.
func (e *CheckError) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", e.Mistakes) }

// wrong is a mistake without a place in a text.
func wrong(path []string, format string, args ...any) Mistakes {
	return Mistakes{{Path: path, Message: fmt.Sprintf(format, args...)}}
}

// within puts mistakes into a member: its key, or its index.
func (m Mistakes) within(step string) Mistakes {
	for i := range m {
		m[i].Path = append([]string{step}, m[i].Path...)
	}
	return m
}

// pointer writes a path as a JSON pointer.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, step := range path {
		b.WriteString("/" + escape.Replace(step))
	}
	return b.String()
}

// child is the path of a member. It never shares memory with parent.
func child(parent []string, step string) []string { return append(slices.Clip(parent), step) }
