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

// Mistakes are all the things that are wrong, in the order of their places. As an error its code is
// [attune.CodeInvalid].
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.String()
	}
	return strings.Join(lines, "; ")
}

// Unwrap gives the mistakes their code.
func (m Mistakes) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", m.Error()) }

// orNil keeps an empty list from becoming an error that is not nil.
func (m Mistakes) orNil() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// wrong is a mistake without a place in a text.
func wrong(path []string, format string, args ...any) Mistakes {
	return Mistakes{{Path: path, Message: fmt.Sprintf(format, args...)}}
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
