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

// TestSecurityPage reads docs/security.md: each line of its tables names tests, and the tests exist. A test that can skip, or that is built
// on Linux only, shows nothing elsewhere, so the page says where it runs, and says so of no other test.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("docs", "security.md"))
	require.NoError(t, err)
	name := regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)\\w+)`( \\(only [^)]+\\))?")
	all := folders{}
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
			require.Contains(t, all.of(t, folder), function, "there is no test %s.%s: %s", folder, function, line)
			switch {
			case all.skips(t, folder, function, map[string]bool{}):
				marked++
				require.NotEmpty(t, mark, "%s.%s can skip: say where it runs, as `folder.Test` (only …): %s", folder, function, line)
			case all.of(t, folder)[function].onLinux:
				marked++
				require.Contains(t, mark, "only on Linux", "%s.%s is built on Linux only: %s", folder, function, line)
			default:
				require.Empty(t, mark, "%s.%s runs everywhere: %s", folder, function, line)
			}
		}
	}
	require.Greater(t, rows, 30)
	require.Positive(t, marked)
}

// testFolder has the functions and methods in the tests of a folder. A method has its name with a dot before it.
type testFolder map[string]testFunction

// testFunction is what a test or a function for tests calls. The name of a method has a dot before it, and a function of another package of
// attune its folder and a dot; "Skip" says that it skips the test.
type testFunction struct {
	calls   map[string]bool
	onLinux bool // the file is built on Linux only
}

// folders reads each folder once. The folder attune is the root.
type folders map[string]testFolder

const module = "github.com/attune-go/attune"

// of returns the functions of a folder: those of its tests, or those of a package that tests use.
func (f folders) of(t *testing.T, folder string) testFolder {
	t.Helper()
	if f[folder] != nil {
		return f[folder]
	}
	f[folder] = testFolder{}
	path := folder
	if folder == "attune" {
		path = "."
	}
	paths, err := filepath.Glob(filepath.Join(path, "*.go"))
	require.NoError(t, err)
	for _, path := range paths {
		isTest := strings.HasSuffix(path, "_test.go")
		if !isTest && !strings.HasPrefix(folder, "devenv") && !strings.HasSuffix(folder, "test") { // no code of tests
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		onLinux := strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(path, ".go"), "_test"), "_linux")
		for _, declaration := range file.Decls {
			if function, ok := declaration.(*ast.FuncDecl); ok {
				name := function.Name.Name
				if function.Recv != nil {
					name = "." + name
				}
				f[folder][name] = testFunction{calledBy(function, importsOf(file)), onLinux && isTest}
			}
		}
	}
	return f[folder]
}

// importsOf returns the folders of the packages of attune that a file imports, by their names in the file.
func importsOf(file *ast.File) map[string]string {
	found := map[string]string{}
	for _, one := range file.Imports {
		path := strings.Trim(one.Path.Value, `"`)
		name := filepath.Base(path)
		if one.Name != nil {
			name = one.Name.Name
		}
		folder, ours := strings.CutPrefix(path, module+"/")
		if !ours {
			folder = "" // it skips no test
		}
		found[name] = folder
	}
	return found
}

func calledBy(function *ast.FuncDecl, imports map[string]string) map[string]bool {
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
			name := target.Sel.Name
			if name == "Skip" || name == "Skipf" || name == "SkipNow" {
				called["Skip"] = true
				return true
			}
			if receiver, ok := target.X.(*ast.Ident); ok {
				if folder, imported := imports[receiver.Name]; imported {
					called[folder+"."+name] = folder != ""
					return true
				}
			}
			called["."+name] = true
		}
		return true
	})
	return called
}

// skips reports whether a function can skip its test, by itself or by a function or method that it calls. Methods are found by their names
// alone, in the folder of the caller.
func (f folders) skips(t *testing.T, folder, function string, seen map[string]bool) bool {
	t.Helper()
	if seen[folder+" "+function] {
		return false
	}
	seen[folder+" "+function] = true
	for called, counts := range f.of(t, folder)[function].calls {
		if !counts {
			continue
		}
		if called == "Skip" {
			return true
		}
		in, name := folder, called
		if at := strings.LastIndexByte(called, '.'); at > 0 {
			in, name = called[:at], called[at+1:]
		}
		if f.skips(t, in, name, seen) {
			return true
		}
	}
	return false
}
