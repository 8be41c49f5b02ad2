package attune_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSecurityPage reads docs/security.md: each line of its tables names tests, and the tests exist. A test that can skip shows nothing
// where it does, so the page says where it runs, and says so of no other test.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "security.md"))
	require.NoError(t, err)
	name := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`( \\(only [^)]+\\))?")
	folders := map[string]testFolder{}
	rows, marked := 0, 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		last := strings.TrimSpace(cells[len(cells)-1])
		if !strings.HasPrefix(line, "|") || last == "shown by" || last == "---" {
			continue
		}
		rows++
		tests := name.FindAllStringSubmatch(last, -1)
		require.NotEmpty(t, tests, "each line names tests, as `folder.Test`: %s", line)
		require.Len(t, tests, strings.Count(last, "`")/2, "each line names tests, as `folder.Test`: %s", line)
		for _, test := range tests {
			folder, function, mark := test[1], test[2], test[3]
			if folders[folder] == nil {
				folders[folder] = readTests(t, folder)
			}
			require.Contains(t, folders[folder], function, "there is no test %s.%s: %s", folder, function, line)
			if folders[folder].skips(function, map[string]bool{}) {
				marked++
				require.NotEmpty(t, mark, "%s.%s can skip: say where it runs, as `folder.Test` (only …): %s", folder, function, line)
			} else {
				require.Empty(t, mark, "%s.%s runs everywhere: %s", folder, function, line)
			}
		}
	}
	require.Greater(t, rows, 30)
	require.Positive(t, marked)
}

// testFolder has the functions in the tests of a folder by their names: what they call by name alone, and "Skip" if they can skip.
type testFolder map[string]map[string]bool

// readTests reads the tests of a folder; the folder attune is the root.
func readTests(t *testing.T, folder string) testFolder {
	t.Helper()
	if folder == "attune" {
		folder = "."
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	found := testFolder{}
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok && function.Recv == nil {
				found[function.Name.Name] = calledBy(function)
			}
		}
	}
	return found
}

func calledBy(function *ast.FuncDecl) map[string]bool {
	called := map[string]bool{}
	ast.Inspect(function, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		switch target := call.Fun.(type) {
		case *ast.Ident:
			called[target.Name] = true
		case *ast.SelectorExpr:
			if method := target.Sel.Name; method == "Skip" || method == "Skipf" || method == "SkipNow" {
				called["Skip"] = true
			}
		}
		return true
	})
	return called
}

// skips reports whether a function can skip its test, by itself or by a function that it calls.
func (f testFolder) skips(function string, seen map[string]bool) bool {
	if seen[function] {
		return false
	}
	seen[function] = true
	for called := range f[function] {
		if called == "Skip" || f.skips(called, seen) {
			return true
		}
	}
	return false
}
