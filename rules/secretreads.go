package rules

import (
	"slices"
	"strconv"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"

	"github.com/attune-go/attune/secrets"
)

// variable is a variable whose uses matter, because it can have secrets.
type variable string

const (
	payloadVariable   variable = "payload"    // also as a member of the variable event
	parameterVariable variable = "parameters" // in a key only
)

// read is one use of a variable in an expression: a chain such as payload.a.?b["c"][0], as long as it is.
type read struct {
	expr  ast.Expr
	of    variable
	steps []readStep
	test  bool // the last step only asks whether the member exists
}

// readStep is one step of a chain: a member, an element, or a part that depends on a value.
type readStep struct {
	key     string
	index   int // of an element; -1 for a member
	dynamic bool
}

// String returns the step as a part of a path.
func (s readStep) String() string {
	if s.index >= 0 {
		return strconv.Itoa(s.index)
	}
	return s.key
}

// readsOf returns the uses of a variable in an expression.
func readsOf(x *expression, of variable) []read {
	var found []read
	collectReads(x.ast.NativeRep().Expr(), &found)
	return slices.DeleteFunc(found, func(r read) bool { return r.of != of })
}

// collectReads appends the uses of the variables in a part of an expression.
func collectReads(e ast.Expr, found *[]read) {
	if r, ok := chainOf(e); ok {
		*found = append(*found, r)
		collectIndexes(e, found)
		return
	}
	if ofEvent(e) {
		return
	}
	for _, part := range partsOf(e) {
		collectReads(part, found)
	}
}

// collectIndexes appends the uses of the variables in the indexes of a chain.
func collectIndexes(e ast.Expr, found *[]read) {
	switch e.Kind() {
	case ast.SelectKind:
		collectIndexes(e.AsSelect().Operand(), found)
	case ast.CallKind:
		collectIndexes(e.AsCall().Args()[0], found)
		collectReads(e.AsCall().Args()[1], found)
	default:
	}
}

// partsOf returns the direct parts of an expression.
func partsOf(e ast.Expr) []ast.Expr {
	switch e.Kind() {
	case ast.SelectKind:
		return []ast.Expr{e.AsSelect().Operand()}
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.ListKind:
		return e.AsList().Elements()
	case ast.MapKind:
		var parts []ast.Expr
		for _, entry := range e.AsMap().Entries() {
			parts = append(parts, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return parts
	case ast.StructKind:
		var parts []ast.Expr
		for _, field := range e.AsStruct().Fields() {
			parts = append(parts, field.AsStructField().Value())
		}
		return parts
	case ast.ComprehensionKind:
		loop := e.AsComprehension()
		return []ast.Expr{loop.IterRange(), loop.AccuInit(), loop.LoopCondition(), loop.LoopStep(), loop.Result()}
	default:
		return nil
	}
}

// ofEvent reports whether an expression is a member of the variable event other than the payload.
func ofEvent(e ast.Expr) bool {
	return e.Kind() == ast.SelectKind && e.AsSelect().Operand().Kind() == ast.IdentKind && e.AsSelect().Operand().AsIdent() == "event"
}

// chainOf returns the chain that an expression is. The variable event has the payload as a member. Its other members are no chains. A
// variable of a macro with the name of a variable counts as that variable.
func chainOf(e ast.Expr) (read, bool) {
	r := read{expr: e}
	switch e.Kind() {
	case ast.IdentKind:
		return identOf(r, e.AsIdent())
	case ast.SelectKind:
		field := e.AsSelect()
		r.test = field.IsTestOnly()
		return r.after(field.Operand(), readStep{key: field.FieldName(), index: -1})
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.Index, operators.OptIndex, operators.OptSelect:
			return r.after(call.Args()[0], stepOf(call.Args()[1]))
		}
	default:
	}
	return r, false
}

// identOf returns the chain that only has a variable.
func identOf(r read, name string) (read, bool) {
	switch name {
	case "payload", "event":
		r.of = payloadVariable
	case "parameters":
		r.of = parameterVariable
	}
	return r, r.of != ""
}

// after returns the chain with one more step after the chain of its operand.
func (r read) after(operand ast.Expr, step readStep) (read, bool) {
	before, ok := chainOf(operand)
	if !ok {
		return r, false
	}
	r.of = before.of
	if operand.Kind() == ast.IdentKind && operand.AsIdent() == "event" {
		return r, step.key == "payload" || step.dynamic
	}
	r.steps = slices.Concat(before.steps, []readStep{step})
	return r, true
}

// stepOf returns the step of an index.
func stepOf(index ast.Expr) readStep {
	if index.Kind() == ast.LiteralKind {
		switch v := index.AsLiteral().(type) {
		case types.String:
			return readStep{key: string(v), index: -1}
		case types.Int:
			return readStep{index: int(v)}
		}
	}
	return readStep{dynamic: true}
}

// secretPath returns the path of the secret that a read touches, or ok false if it touches none. It touches a secret field with all that
// is inside of it, and a part of the payload that has a secret field inside. A test whether a secret field exists touches none.
func (r read) secretPath(marks secrets.Marks) (path string, ok bool) {
	for i, step := range r.steps {
		if marks == nil {
			return "", false
		}
		if marks.Secret() || step.dynamic {
			break
		}
		next := marks.Member(step.key)
		if step.index >= 0 {
			next = marks.Element(step.index)
		}
		if r.test && i == len(r.steps)-1 {
			return "", false
		}
		path, marks = path+"/"+step.String(), next
	}
	if path == "" {
		path = "/"
	}
	return path, marks != nil
}
