package attune_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/attune-go/attune"

// TestHouse holds the packages to docs/architecture.md: imports point one way, and every package says what it is.
//
// It reads the files themselves, so no build tag hides one. Test files and packages whose name ends in "test" are
// exempt unless a rule says otherwise: a test may put the real service on the other side of an interface.
func TestHouse(t *testing.T) {
	t.Parallel()

	packages := readPackages(t, ".")
	require.NotEmpty(t, packages[""].files, "no Go files found in the module's root")

	tests := []struct {
		name string
		rule rule
		// breaks is a package that the rule must catch: a rule that catches nothing would pass for ever.
		breaks sourcePackage
	}{
		{
			name: "fx only wires",
			rule: rule{
				of: outside("cmd", "fxmodules"), forbids: anyOf("go.uber.org/fx", "go.uber.org/dig"), tests: true,
				why: "constructors work without a framework; only cmd and fxmodules wire them",
			},
			breaks: importing("bridge", "relay_test.go", "go.uber.org/fx/fxtest"),
		},
		{
			name: "the domain has no dependencies",
			rule: rule{
				of: exactly(""), forbids: not(standard),
				why: "every package speaks the domain's words, so whatever the domain imports everybody imports",
			},
			breaks: importing("", "event.go", "github.com/google/uuid"),
		},
		{
			name: "the semaphore is pure",
			rule: rule{
				of: within("semaphore"), forbids: not(standard, ours("")),
				why: "it is tested as plain values: no SDK, no clock, no I/O",
			},
			breaks: importing("semaphore", "state.go", "go.temporal.io/sdk/workflow"),
		},
		{
			name: "policy is pure",
			rule: rule{
				of: within("policy"), forbids: not(standard, ours("")),
				why: "it is arithmetic on the domain's values",
			},
			breaks: importing("policy", "resolve.go", module+"/postgres"),
		},
		{
			name: "proof is pure",
			rule: rule{
				of: within("proof"), forbids: not(standard, ours("")),
				why: "it judges the decisions of others, so it shares no code with them",
			},
			breaks: importing("proof", "check.go", module+"/semaphore"),
		},
		{
			name: "rules and packs know the domain only",
			rule: rule{
				of: within("rules", "packs"), forbids: oursExcept("", "policy", "rules", "packs"),
				why: "matching and loading need no service",
			},
			breaks: importing("packs", "load.go", module+"/workflows"),
		},
		{
			name: "ingest is below every source",
			rule: rule{
				of: within("ingest"), forbids: oursExcept("", "ingest"),
				why: "it declares what it needs: sources call it, and it calls none of them",
			},
			breaks: importing("ingest", "event.go", module+"/api"),
		},
		{
			name: "workflows reach the world through activities by name",
			rule: rule{
				of: within("workflows"), forbids: ours("postgres", "rabbitmq", "activities", "bridge", "api", "worker"),
				why: "workflow code is replayed: what it imports must be deterministic",
			},
			breaks: importing("workflows", "enforcement.go", module+"/activities"),
		},
		{
			name: "workers hold no credentials but the broker's",
			rule: rule{
				of: within("worker"), forbids: anyOf("github.com/jackc/pgx", "go.temporal.io", module+"/postgres"),
				why: "a worker runs other people's code: it claims and reports over the broker and can reach nothing else",
			},
			breaks: importing("worker", "claim.go", "github.com/jackc/pgx/v5/pgxpool"),
		},
		{
			name: "postgres and rabbitmq are leaves",
			rule: rule{
				of: within("postgres", "rabbitmq"), forbids: oursExcept("", "policy", "semaphore", "internal/gather"), own: true,
				why: "they are reached through interfaces that their users declare",
			},
			breaks: importing("rabbitmq", "publisher.go", module+"/bridge"),
		},
		{
			name: "api declares what it needs",
			rule: rule{
				of: within("api"), forbids: ours("postgres", "rabbitmq", "workflows", "rules"),
				why: "handlers are tested against interfaces; fxmodules supplies what implements them",
			},
			breaks: importing("api", "events.go", module+"/postgres"),
		},
		{
			name: "nothing reaches up",
			rule: rule{
				of: outside("cmd", "internal/cli", "fxmodules"), forbids: ours("cmd", "internal/cli", "fxmodules"),
				why: "what is wired must not know the wiring",
			},
			breaks: importing("api", "server.go", module+"/fxmodules"),
		},
		{
			name: "testenv is for tests",
			rule: rule{
				of: outside("devenv/testenv"), forbids: ours("devenv/testenv"),
				why: "the product must not carry the test services",
			},
			breaks: importing("internal/cli", "dev.go", module+"/devenv/testenv"),
		},
		{
			name: "only commands start services",
			rule: rule{
				of: outside("devenv", "internal/cli"), forbids: ours("devenv/services"),
				why: "in production the services run without attune, so nothing but a command may start one",
			},
			breaks: importing("bridge", "relay.go", module+"/devenv/services"),
		},
		{
			name: "services know nothing of attune",
			rule: rule{
				of: within("devenv"), forbids: oursExcept("devenv"),
				why: "every package is tested with them, so whatever they import every test depends on",
			},
			breaks: importing("devenv/services", "postgres.go", module+"/postgres"),
		},
		{
			name: "test libraries are for tests",
			rule: rule{
				of: outside("devenv/testenv"),
				forbids: anyOf("testing", "github.com/stretchr/testify", "github.com/google/go-cmp", "go.uber.org/goleak",
					"pgregory.net/rapid"),
				why: "the product must not carry them",
			},
			breaks: importing("worker", "fake.go", "github.com/stretchr/testify/require"),
		},
		{
			name: "every package says what it is",
			rule: rule{
				of: outside(), documented: true,
				why: "a newcomer opens one folder and finds one job",
			},
			breaks: importing("bridge", "relay.go", "context"),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, tt.rule.check(tt.breaks), "the rule does not catch what it is there for")

			var broken []string
			for _, pkg := range packages {
				broken = append(broken, tt.rule.check(pkg)...)
			}
			slices.Sort(broken)
			require.Empty(t, strings.Join(broken, "\n"))
		})
	}
}

// rule is one sentence about the packages that of matches.
type rule struct {
	of         func(pkg string) bool
	forbids    func(importPath string) bool
	own        bool // a package's own subpackages are allowed
	tests      bool // also in test files and *test packages
	documented bool
	why        string
}

// check returns a line for everything in pkg that breaks the rule.
func (r rule) check(pkg sourcePackage) []string {
	if !r.of(pkg.path) {
		return nil
	}
	if r.documented && !pkg.documented() {
		line := fmt.Sprintf("%s: no package comment \"// Package %s …\": %s", path.Join(pkg.path, "*.go"), pkg.name, r.why)
		return []string{line}
	}
	var broken []string
	for _, file := range pkg.files {
		if r.forbids == nil || file.test && !r.tests {
			continue
		}
		for _, imported := range file.imports {
			if r.forbids(imported) && !(r.own && within(topFolder(pkg.path))(inModule(imported))) {
				broken = append(broken, fmt.Sprintf("%s imports %q: %s", file.name, imported, r.why))
			}
		}
	}
	return broken
}

// sourcePackage is a folder of Go files; path is relative to the module, "" for its root.
type sourcePackage struct {
	path  string
	name  string
	files []sourceFile
}

type sourceFile struct {
	name    string
	test    bool
	imports []string
	comment string // the package comment
}

// documented reports whether some file introduces the package: "Package x …", or anything for a command.
func (p sourcePackage) documented() bool {
	return slices.ContainsFunc(p.files, func(f sourceFile) bool {
		switch p.name {
		case "main":
			return f.comment != ""
		default:
			return strings.HasPrefix(f.comment, "Package "+p.name+" ") || strings.HasPrefix(f.comment, "Package "+p.name+"_test ")
		}
	})
}

// importing makes a package of one file without a comment.
func importing(pkg, file, imported string) sourcePackage {
	return sourcePackage{path: pkg, name: path.Base(pkg), files: []sourceFile{
		{name: path.Join(pkg, file), test: strings.HasSuffix(file, "_test.go"), imports: []string{imported}},
	}}
}

// readPackages parses the imports and package comments of every Go file under root, by folder. It leaves out other
// modules and the folders that the go command ignores.
func readPackages(t *testing.T, root string) map[string]sourcePackage {
	t.Helper()
	packages := map[string]sourcePackage{}
	require.NoError(t, filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != root && ignored(name, entry.Name()):
			return fs.SkipDir
		case entry.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		file, pkg := readFile(t, name)
		folder := strings.TrimPrefix(path.Dir(file.name), ".")
		found := packages[folder]
		found.path, found.name = folder, strings.TrimSuffix(pkg, "_test")
		found.files = append(found.files, file)
		packages[folder] = found
		return nil
	}))
	return packages
}

func ignored(name, base string) bool {
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	isModule := err == nil
	return isModule || base == "testdata" || base == "bin" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")
}

func readFile(t *testing.T, name string) (file sourceFile, pkg string) {
	t.Helper()
	syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
	require.NoError(t, err)
	file = sourceFile{
		name:    filepath.ToSlash(name),
		test:    strings.HasSuffix(name, "_test.go") || strings.HasSuffix(filepath.Dir(name), "test"),
		comment: syntax.Doc.Text(),
	}
	for _, spec := range syntax.Imports {
		file.imports = append(file.imports, importPath(t, spec))
	}
	return file, syntax.Name.Name
}

func importPath(t *testing.T, spec *ast.ImportSpec) string {
	t.Helper()
	imported, err := strconv.Unquote(spec.Path.Value)
	require.NoError(t, err)
	return imported
}

// exactly, within and outside match packages by their path in the module; the latter two include subfolders.
func exactly(pkg string) func(string) bool {
	return func(p string) bool { return p == pkg }
}

func within(folders ...string) func(string) bool {
	return func(pkg string) bool {
		return slices.ContainsFunc(folders, func(f string) bool { return below(f, pkg) })
	}
}

func outside(folders ...string) func(string) bool { return not(within(folders...)) }

// standard matches the standard library: no dot in the first element.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".")
}

// anyOf matches import paths at or below one of those given.
func anyOf(paths ...string) func(string) bool { return within(paths...) }

// ours matches attune's packages at or below one of the folders; "" is the domain package alone.
func ours(folders ...string) func(string) bool {
	return func(imported string) bool {
		return below(module, imported) && within(folders...)(inModule(imported))
	}
}

// oursExcept matches all other packages of attune.
func oursExcept(folders ...string) func(string) bool {
	return func(imported string) bool { return below(module, imported) && !ours(folders...)(imported) }
}

func not(matches ...func(string) bool) func(string) bool {
	return func(s string) bool {
		return !slices.ContainsFunc(matches, func(match func(string) bool) bool { return match(s) })
	}
}

func below(folder, p string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

func inModule(imported string) string {
	return strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
}

func topFolder(pkg string) string {
	first, _, _ := strings.Cut(pkg, "/")
	return first
}
