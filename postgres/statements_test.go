package postgres_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestStatements prepares every statement of the package on a migrated database, so that none refers to a column that is
// not there. The statements are read from the source: a constant whose name ends in SQL is one.
func TestStatements(t *testing.T) {
	t.Parallel()
	b := setup(t)
	source := readSource(t)
	conn := b.conn(t)

	require.NotEmpty(t, source.statements)
	for name, sql := range source.statements {
		_, err := conn.Prepare(t.Context(), name, sql)
		require.NoError(t, err, "%s:%s", name, sql)
	}
}

// TestStatementsAreNamed makes sure that TestStatements sees every statement: whatever is handed to pgx as SQL is one of
// the constants, or a parameter of a function to which the rule then applies.
func TestStatementsAreNamed(t *testing.T) {
	t.Parallel()
	source := readSource(t)

	// The argument that is the statement, by name of the function or method.
	positions := map[string]int{"Query": 1, "QueryRow": 1, "QueryRowContext": 1, "Exec": 1, "Queue": 0, "Prepare": 2, "one": 3, "collect": 3, "list": 5}
	calls := 0
	for _, file := range source.files {
		ast.Inspect(file, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			position, ok := positions[calledName(call)]
			if !ok || position >= len(call.Args) {
				return true
			}
			calls++
			argument, ok := call.Args[position].(*ast.Ident)
			where := source.positions.Position(call.Pos())
			require.True(t, ok, "%s: the statement is not a named constant", where)
			require.True(t, argument.Name == "sql" || strings.HasSuffix(argument.Name, "SQL"),
				"%s: %s is handed over as a statement, but its name does not end in SQL", where, argument.Name)
			return true
		})
	}
	require.Greater(t, calls, 40)
}

// calledName is the name of the function or method that is called, without type arguments.
func calledName(call *ast.CallExpr) string {
	called := call.Fun
	if generic, ok := called.(*ast.IndexExpr); ok {
		called = generic.X
	}
	switch called := called.(type) {
	case *ast.Ident:
		return called.Name
	case *ast.SelectorExpr:
		return called.Sel.Name
	}
	return ""
}

// source is the package as it is written.
type source struct {
	positions  *token.FileSet
	files      []*ast.File
	statements map[string]string // by name of the constant
}

func readSource(t *testing.T) source {
	t.Helper()
	names, err := filepath.Glob("*.go")
	require.NoError(t, err)
	s := source{positions: token.NewFileSet(), statements: make(map[string]string)}
	constants := make(map[string]ast.Expr)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(s.positions, name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		s.files = append(s.files, file)
		collectConstants(file, constants)
	}
	for name, value := range constants {
		if strings.HasSuffix(name, "SQL") {
			s.statements[name] = evaluate(t, value, constants)
		}
	}
	return s
}

func collectConstants(file *ast.File, constants map[string]ast.Expr) {
	for _, declaration := range file.Decls {
		group, ok := declaration.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, value := range spec.Values {
				constants[spec.Names[i].Name] = value
			}
		}
	}
}

// evaluate returns the text of a constant that is made of literals and other constants.
func evaluate(t *testing.T, value ast.Expr, constants map[string]ast.Expr) string {
	t.Helper()
	switch value := value.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(value.Value)
		require.NoError(t, err)
		return text
	case *ast.BinaryExpr:
		return evaluate(t, value.X, constants) + evaluate(t, value.Y, constants)
	case *ast.Ident:
		require.Contains(t, constants, value.Name)
		return evaluate(t, constants[value.Name], constants)
	}
	t.Fatalf("a statement is made of %T", value)
	return ""
}
