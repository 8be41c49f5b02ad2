package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// Mistake is one problem in criteria, parameters, a schema or a payload.
type Mistake struct {
	// Path is the path of the problem in the parameters, schema or payload: keys, and indexes from 0. It is empty for criteria.
	Path []string
	// Line and Column are the place in the text at Path. Both count from 1; a column is a code point. Both are 0 when the mistake
	// has no place in a text.
	Line, Column int
	Message      string
}

// String returns the mistake in the form "/path: line:column: message", without unknown parts.
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

// Mistakes lists all problems, in the order of their places.
type Mistakes []Mistake

// String returns the mistakes in one line.
func (m Mistakes) String() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "; ")
}

// err returns a [CheckError] with the mistakes, or nil without mistakes.
func (m Mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return &CheckError{Mistakes: m}
}

// CheckError is the error of a check that found mistakes. Its code is [attune.CodeInvalid].
type CheckError struct{ Mistakes Mistakes }

func (e *CheckError) Error() string { return e.Mistakes.String() }

// Unwrap gives the error its code.
func (e *CheckError) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", e.Mistakes) }

// mistakeAt returns one mistake with a path, and without a line and a column.
func mistakeAt(path []string, format string, args ...any) Mistakes {
	return Mistakes{{Path: path, Message: fmt.Sprintf(format, args...)}}
}

// within prepends a key or an index to the paths of mistakes.
func (m Mistakes) within(step string) Mistakes {
	for i := range m {
		m[i].Path = append([]string{step}, m[i].Path...)
	}
	return m
}

// pointer returns a path as a JSON pointer.
func pointer(path []string) string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var b strings.Builder
	for _, step := range path {
		b.WriteString("/" + escape.Replace(step))
	}
	return b.String()
}

// child returns the path of a member. The result never shares memory with parent.
func child(parent []string, step string) []string { return append(slices.Clip(parent), step) }
