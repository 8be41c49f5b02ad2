package main

import (
	"fmt"
	"regexp"
	"strings"
)

// mutant is a change of one operator, with its verdict.
type mutant struct {
	name   name
	at     string // file:line:column
	status status
}

// name identifies a mutant without line numbers, which change often. Identical lines of a file share a name.
type name struct {
	File string `yaml:"file"` // relative to the root of the module
	Line string `yaml:"line"` // without indentation, with marks around the operator
	Type string `yaml:"type"` // of the change, as gremlins calls it
}

func (n name) String() string { return fmt.Sprintf("%s in %s: %s", n.Type, n.File, n.Line) }

// status is the verdict on a mutant, as gremlins spells it.
type status string

const (
	killed     status = "KILLED"
	timedOut   status = "TIMED OUT"
	lived      status = "LIVED"
	notCovered status = "NOT COVERED"
	notViable  status = "NOT VIABLE" // does not compile
)

// survives reports whether no test fails because of the mutant.
func (s status) survives() bool { return s == lived || s == notCovered }

var operator = regexp.MustCompile(`^(break|continue|[-+*/%&|^<>=!]+)`)

// markOperator returns a line of a source with marks around the operator at a column. Lines and columns start at 1;
// columns count bytes.
func markOperator(source string, line, column int) (string, error) {
	lines := strings.Split(source, "\n")
	if line < 1 || line > len(lines) || column < 1 || column > len(lines[line-1]) {
		return "", fmt.Errorf("no column %d in line %d: the file has changed meanwhile", column, line)
	}
	before, after := lines[line-1][:column-1], lines[line-1][column-1:]
	found := operator.FindString(after)
	if found == "" {
		return "", fmt.Errorf("no operator at column %d of line %d: the file has changed meanwhile", column, line)
	}
	return strings.TrimSpace(before + "«" + found + "»" + after[len(found):]), nil
}

// figures count the mutants of a package by status.
type figures map[status]int

func count(mutants []mutant) figures {
	f := figures{}
	for _, m := range mutants {
		f[m.status]++
	}
	return f
}

// viable is the number of mutants that compile.
func (f figures) viable() int { return f[killed] + f[timedOut] + f[lived] + f[notCovered] }

// efficacy is the percentage of killed mutants among the covered ones, and coverage the percentage of covered mutants
// among the viable ones.
func (f figures) efficacy() float64 { return percent(f[killed]+f[timedOut], f.viable()-f[notCovered]) }
func (f figures) coverage() float64 { return percent(f.viable()-f[notCovered], f.viable()) }

func percent(part, whole int) float64 {
	if whole == 0 {
		return 100
	}
	return 100 * float64(part) / float64(whole)
}

// below lists the percentages that are below least.
func (f figures) below(folder string, least float64) []string {
	var problems []string
	if f.efficacy() < least {
		problems = append(problems, fmt.Sprintf("%s: efficacy is %.1f %%, below %g %%", folder, f.efficacy(), least))
	}
	if f.coverage() < least {
		problems = append(problems, fmt.Sprintf("%s: coverage is %.1f %%, below %g %%", folder, f.coverage(), least))
	}
	return problems
}

// tableHead is the head of the table in docs/proof.md.
const tableHead = `| package | mutants | killed | timed out | survived | not covered | efficacy | coverage |
|---|---|---|---|---|---|---|---|`

func (f figures) row(folder string) string {
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %.1f %% | %.1f %% |", folder,
		f.viable(), f[killed], f[timedOut], f[lived], f[notCovered], f.efficacy(), f.coverage())
}
