package packs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/attune-go/attune"
)

// Problem is one thing that is wrong with a pack.
type Problem struct {
	File         string // the path, as far as it was given: relative to where the caller is
	Line, Column int    // from 1, columns in characters; both 0 when it is about the file or folder as a whole
	Message      string
}

// String is the problem in the form "file:line:column: message".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// Problems is everything that is wrong with the packs of one call, by file and line. As an error its code is
// [attune.CodeInvalid].
type Problems []Problem

// Error is one line per problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the problems their code.
func (p Problems) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", p.Error()) }

// orNil sorts the problems, and keeps an empty list from becoming an error that is not nil.
func (p Problems) orNil() error {
	if len(p) == 0 {
		return nil
	}
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p
}

// report collects problems.
type report struct{ problems Problems }

func (r *report) add(file string, at place, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...),
	})
}
