package rules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/attune-go/attune"
)

// fromIssues converts CEL's compile errors to mistakes.
func fromIssues(issues *cel.Issues) Mistakes {
	var mistakes Mistakes
	for _, issue := range issues.Errors() {
		mistakes = append(mistakes, Mistake{
			Line: max(1, issue.Location.Line()), Column: max(0, issue.Location.Column()) + 1, Message: reword(issue.Message),
		})
	}
	slices.SortStableFunc(mistakes, func(a, b Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return mistakes
}

// reword rewords a message of CEL for readers who do not know the grammar of CEL and the names of its operators.
func reword(message string) string {
	message = strings.TrimSuffix(message, " (in container '')")
	if rest, ok := strings.CutPrefix(message, "Syntax error: "); ok {
		problem, _, _ := strings.Cut(rest, " expecting ")
		return "syntax error: " + strings.NewReplacer(
			"mismatched input '<EOF>'", "the expression ends too early",
			"mismatched input", "unexpected", "extraneous input", "unexpected",
			"token recognition error at: '", "cannot read '", "no viable alternative at input", "cannot read",
		).Replace(problem)
	}
	if strings.HasPrefix(message, "found no matching overload") {
		message = strings.NewReplacer("'_", "'", "_'", "'").Replace(message)
	}
	return message
}

// explain converts an evaluation error to a mistake that says where and what it is, and what to do.
func (x *expression) explain(err error) Mistake {
	failed, ok := errors.AsType[*types.Err](err)
	if !ok {
		return Mistake{Message: err.Error()}
	}
	mistake := Mistake{Message: failed.Error()}
	info := x.ast.NativeRep().SourceInfo()
	if place := info.GetStartLocation(failed.NodeID()); place.Line() > 0 {
		mistake.Line, mistake.Column = place.Line(), place.Column()+1
	}
	if part := x.find(failed.NodeID()); part != nil {
		mistake.Message = x.advise(failed.Error(), part)
	}
	return mistake
}

// noSuchKey begins CEL's message about a member that an object does not have.
const noSuchKey = "no such key: "

// isMissing reports whether an evaluation failed because an object does not have a member.
func isMissing(err error) bool {
	failed, ok := errors.AsType[*types.Err](err)
	return ok && strings.HasPrefix(failed.Error(), noSuchKey)
}

// advise adds the failed part of the expression to an error message, and for common errors what to do.
func (x *expression) advise(message string, part ast.Expr) string {
	key, missing := strings.CutPrefix(message, noSuchKey)
	switch {
	case missing:
		return fmt.Sprintf("no such key %q: test %s first", key, x.presenceTest(key, part))
	case message == "no such overload":
		return fmt.Sprintf("the types of the values do not fit %s: convert with int(), double() or string()", x.source(part))
	default:
		return fmt.Sprintf("%s in %s", message, x.source(part))
	}
}

// presenceTest returns the expression that tests whether a key exists. CEL may report an outer part of a.b.c.
func (x *expression) presenceTest(key string, part ast.Expr) string {
	for e := part; e.Kind() == ast.SelectKind; e = e.AsSelect().Operand() {
		if field := e.AsSelect(); field.FieldName() == key {
			return fmt.Sprintf("has(%s.%s)", x.source(field.Operand()), key)
		}
	}
	if part.Kind() == ast.CallKind && part.AsCall().FunctionName() == operators.Index {
		return fmt.Sprintf("%q in %s", key, x.source(part.AsCall().Args()[0]))
	}
	return "has()"
}

// find returns the part of the expression with an id, or nil.
func (x *expression) find(id int64) ast.Expr {
	var found ast.Expr
	ast.PostOrderVisit(x.ast.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() == id {
			found = e
		}
	}))
	return found
}

// source returns the shortened text of a part of the expression.
func (x *expression) source(e ast.Expr) string {
	text, err := cel.ExprToString(e, x.ast.NativeRep().SourceInfo())
	if err != nil {
		return "the expression"
	}
	return attune.Shorten(strings.Join(strings.Fields(text), " "), 120)
}
