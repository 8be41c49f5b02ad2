package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// position is a place in a file. Lines and columns start at 1.
type position struct{ line, column int }

func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.line, q.line), cmp.Compare(p.column, q.column))
}

// block is a part of a file that tests have run into, or have not.
type block struct {
	from, to position
	runs     int
}

// widen returns a coverage profile in which everything is covered but the blocks that no test has run into. The blocks of the go
// command hold statements; the conditions of a case are in none of them, and gremlins would leave their mutants out.
func widen(profile string) (string, error) {
	mode, rest, _ := strings.Cut(profile, "\n")
	files := map[string][]block{}
	for line := range strings.Lines(rest) {
		file, text, _ := strings.Cut(strings.TrimSpace(line), ":")
		var b block
		var statements int
		if _, err := fmt.Sscanf(text, "%d.%d,%d.%d %d %d",
			&b.from.line, &b.from.column, &b.to.line, &b.to.column, &statements, &b.runs); err != nil {
			return "", fmt.Errorf("coverage profile: %q: %w", line, err)
		}
		files[file] = append(files[file], b)
	}
	wide := new(strings.Builder)
	fmt.Fprintln(wide, mode)
	for _, file := range slices.Sorted(maps.Keys(files)) {
		for _, b := range between(files[file]) {
			fmt.Fprintf(wide, "%s:%d.%d,%d.%d 1 1\n", file, b.from.line, b.from.column, b.to.line, b.to.column)
		}
	}
	return wide.String(), nil
}

// between returns what is between the blocks that have not been run into, from the start of the file to its end.
func between(blocks []block) []block {
	end := position{line: 1 << 30, column: 1}
	var wide []block
	from := position{line: 1, column: 1}
	slices.SortFunc(blocks, func(a, b block) int { return a.from.compare(b.from) })
	for _, b := range blocks {
		if b.runs == 0 {
			wide = append(wide, block{from: from, to: b.from})
			from = b.to
		}
	}
	return append(wide, block{from: from, to: end})
}
