package packs

import (
	"fmt"
	"strings"

	"github.com/attune-go/attune"
)

// Problem is one error in a pack.
type Problem struct {
	File         string // the path, relative if the caller named a relative folder
	Line, Column int    // from 1, columns in characters; both 0 for the file or folder as a whole
	Message      string
}

// String returns the problem in the form "file:line:column: message".
func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.Message
	}
	return p.place() + ": " + p.Message
}

// place returns "file:line:column".
func (p Problem) place() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column) }

// LoadError is all errors in the packs of one call, ordered by file and line. Its code is [attune.CodeInvalid].
type LoadError struct{ Problems []Problem }

// Error returns one line for each problem.
func (e *LoadError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns an [attune.Error] with the code of the error.
func (e *LoadError) Unwrap() error { return attune.Errorf(attune.CodeInvalid, "%s", e.Error()) }

// report collects problems.
type report struct{ problems []Problem }

func (r *report) add(file string, at place, format string, args ...any) {
	r.problems = append(r.problems, Problem{
		File: file, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...),
	})
}
