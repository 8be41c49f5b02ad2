package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWiden(t *testing.T) {
	t.Parallel()

	t.Run("everything is covered except the blocks that no test ran", func(t *testing.T) {
		t.Parallel()
		wide, err := widen("mode: set\n" +
			"demo/a.go:20.4,25.3 2 0\n" + // out of order
			"demo/a.go:10.2,12.3 1 0\n" +
			"demo/a.go:14.2,16.3 1 7\n" +
			"demo/b.go:3.1,4.2 1 1\n")
		require.NoError(t, err)
		require.Equal(t, "mode: set\n"+
			"demo/a.go:1.1,10.2 1 1\n"+
			"demo/a.go:12.3,20.4 1 1\n"+
			"demo/a.go:25.3,1073741824.1 1 1\n"+
			"demo/b.go:1.1,1073741824.1 1 1\n", wide)
	})

	t.Run("an invalid profile is refused", func(t *testing.T) {
		t.Parallel()
		_, err := widen("mode: set\ndemo/a.go:10\n")
		require.ErrorContains(t, err, "demo/a.go:10")
	})
}

func TestMarked(t *testing.T) {
	t.Parallel()
	source := "package demo\n\tfor i := 0; i <= 3 && ok; i++ {\n\t\tcontinue\n"
	for want, at := range map[string]struct{ line, column int }{
		"for i := 0; i «<=» 3 && ok; i++ {": {2, 16},
		"for i := 0; i <= 3 «&&» ok; i++ {": {2, 21},
		"for i := 0; i <= 3 && ok; i«++» {": {2, 29},
		"«continue»":                        {3, 3},
	} {
		line, err := markOperator(source, at.line, at.column)
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	for _, at := range []struct{ line, column int }{{2, 2}, {2, 99}, {9, 1}, {0, 1}, {1, 0}} {
		_, err := markOperator(source, at.line, at.column)
		require.ErrorContains(t, err, "the file has changed meanwhile")
	}
}

func TestFigures(t *testing.T) {
	t.Parallel()
	var mutants []mutant
	for status, n := range map[status]int{killed: 80, timedOut: 10, lived: 5, notCovered: 5, notViable: 30} {
		for range n {
			mutants = append(mutants, mutant{status: status})
		}
	}
	f := count(mutants)
	require.InDelta(t, 100*90.0/95, f.efficacy(), 1e-9, "a timeout counts as killed; a failed build does not count")
	require.InDelta(t, 95.0, f.coverage(), 1e-9)
	require.Empty(t, f.below("demo", 90))
	require.Equal(t, []string{"demo: efficacy is 94.7 %, below 95 %"}, f.below("demo", 95))
	require.Len(t, f.below("demo", 96), 2)
	require.Equal(t, "| demo | 100 | 80 | 10 | 5 | 5 | 94.7 % | 95.0 % |", f.row("demo"))
	require.Empty(t, count(nil).below("demo", 95), "no mutants")
}

func TestCompare(t *testing.T) {
	t.Parallel()
	first, second := name{File: "demo/a.go", Line: "a «<» b", Type: "X"}, name{File: "demo/a.go", Line: "a «<» c", Type: "X"}
	mutants := []mutant{{name: first, at: "demo/a.go:1:3", status: lived}, {name: second, at: "demo/a.go:2:3", status: killed}}
	tests := map[string]struct {
		named []survivor
		want  []string
	}{
		"a survivor with an entry is accepted": {[]survivor{{Mutant: first}}, nil},
		"a survivor without an entry is reported": {
			nil,
			[]string{"demo/a.go:1:3: lived without an entry: X in demo/a.go: a «<» b"},
		},
		"an entry for a killed mutant is reported": {
			[]survivor{{Mutant: first}, {Mutant: second}},
			[]string{"entry for a mutant that is killed: X in demo/a.go: a «<» c"},
		},
		"an entry without a mutant is reported": {
			[]survivor{{Mutant: first}, {Mutant: name{File: "demo/b.go"}}},
			[]string{"entry without a mutant:  in demo/b.go: "},
		},
		"entries of another folder are ignored": {[]survivor{{Mutant: first}, {Mutant: name{File: "demonstration/b.go"}}}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, compare("demo", mutants, tt.named))
		})
	}

	t.Run("identical lines share a name", func(t *testing.T) {
		t.Parallel()
		again := mutant{name: first, at: "demo/a.go:9:3", status: killed}
		require.Empty(t, compare("demo", append([]mutant{again}, mutants...), []survivor{{Mutant: first}}))
		require.Empty(t, compare("demo", append(mutants, again), []survivor{{Mutant: first}}))
	})
}

func TestReadNamed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "mutants.yaml")
	read := func(text string) ([]survivor, error) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		return readNamed(file)
	}
	named, err := read("- {file: a.go, line: a «<» b, type: X, reason: both are the same}\n")
	require.NoError(t, err)
	require.Equal(t, []survivor{{Mutant: name{File: "a.go", Line: "a «<» b", Type: "X"}, Reason: "both are the same"}}, named)

	_, err = read("- {file: a.go, line: a «<» b, type: X}\n")
	require.ErrorContains(t, err, "reason are needed")
	_, err = read("- {file: a.go, line: a «<» b, type: X, reason: r, why: r}\n")
	require.Error(t, err)
}

// TestReadNamed_Repository checks the repository's file, which otherwise only a long run reads.
func TestReadNamed_Repository(t *testing.T) {
	t.Parallel()
	named, err := readNamed("../../tools/mutants.yaml")
	require.NoError(t, err)
	for _, s := range named {
		source, err := os.ReadFile(filepath.Join("../..", s.Mutant.File))
		require.NoError(t, err)
		line := strings.NewReplacer("«", "", "»", "").Replace(s.Mutant.Line)
		require.Contains(t, string(source), line, "the line has changed: check whether the mutant still survives")
	}
}

func TestReadReport(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "a.go"), []byte("package a\n\nvar b = 1 + 2\n"), 0o600))
	mutants, err := readReport([]byte(`{"files":[{"file_name":"a.go","mutations":[
		{"type":"ARITHMETIC_BASE","status":"NOT COVERED","line":3,"column":11}]}]}`), folder)
	require.NoError(t, err)
	path := filepath.Join(folder, "a.go")
	require.Equal(t, []mutant{{name: name{File: path, Line: "var b = 1 «+» 2", Type: "ARITHMETIC_BASE"}, at: path + ":3:11", status: notCovered}}, mutants)

	_, err = readReport([]byte("{"), folder)
	require.Error(t, err)
	_, err = readReport([]byte(`{"files":[{"file_name":"b.go"}]}`), folder)
	require.Error(t, err)
}
