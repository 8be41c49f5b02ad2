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

// block is a part of a file, with the number of times that tests ran it.
type block struct {
	from, to position
	runs     int
}

// widen returns a coverage profile that covers everything except the blocks that no test ran. The go command's blocks
// hold statements only; the conditions of a case are outside, and gremlins would skip their mutants.
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

// between returns the parts of a file outside the blocks that no test ran.
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
