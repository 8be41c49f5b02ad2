package rules

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/cel-go/interpreter"

	"github.com/attune-go/attune"
)

const (
	maxExpressionBytes = 10_000
	// maxNesting bounds how deep the expressions of one criteria or one parameters nest: the sum of depth³ of all parts. It allows
	// a hundred operators in a row ("a + b + c"). Checking the types takes about ten nanoseconds for each unit: seconds for a few
	// hundred lists inside each other.
	maxNesting = 100_000_000
	// nestingPerByte is the number of units of nesting that need one byte of a compiled expression.
	nestingPerByte = 30
	// interruptEvery is the number of iterations of a loop between two checks of the context.
	interruptEvery = 100
)

// eventView is the variable event of expressions. It has no id, because the rules decide before the event gets an id.
type eventView struct {
	Trigger    string         `cel:"trigger"`
	Source     string         `cel:"source"`
	ReceivedAt time.Time      `cel:"received_at"`
	Payload    map[string]any `cel:"payload"`
}

// newEventView decodes the event's payload, with covers in the places of its secret fields.
func newEventView(event attune.Event, covers covers) (eventView, Mistakes) {
	payload, mistakes := covers.decode(event.Payload)
	return eventView{
		Trigger: string(event.Trigger), Source: string(event.Source), ReceivedAt: event.ReceivedAt, Payload: payload,
	}, mistakes
}

// language compiles expressions. It is immutable.
type language struct {
	env      *cel.Env
	metering *metering
}

// newLanguage returns the language of criteria and templates.
func newLanguage() (language, error) {
	env, err := newEnvironment()
	return newMeteredLanguage(env, err)
}

// newKeyLanguage returns the language of keys: they also see the parameters of the action.
func newKeyLanguage() (language, error) {
	env, err := newEnvironment()
	if err == nil {
		env, err = env.Extend(cel.Variable("parameters", cel.MapType(cel.StringType, cel.DynType)))
	}
	return newMeteredLanguage(env, err)
}

// newEnvironment returns the functions and variables that all expressions have.
func newEnvironment() (*cel.Env, error) {
	view, list := reflect.TypeFor[eventView](), cel.ListType(cel.TypeParamType("T"))
	return cel.NewEnv(
		ext.NativeTypes(types.ParseStructTags(true), view),
		cel.Variable("event", cel.ObjectType(view.String())),
		cel.Variable("payload", cel.MapType(cel.StringType, cel.DynType)),
		cel.OptionalTypes(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		ext.Strings(ext.StringsMaxPrecision(maxPrecision)), ext.Lists(), ext.Sets(), ext.Math(), ext.Regex(), ext.Bindings(),
		ext.Encoders(ext.EncodersVersion(0)),
		cel.Function("distinct", cel.MemberOverload("list_distinct", []*cel.Type{list}, list, cel.UnaryBinding(distinct))),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
	)
}

// newMeteredLanguage returns the language of an environment; err is that of its creation.
func newMeteredLanguage(env *cel.Env, err error) (language, error) {
	if err != nil {
		return language{}, fmt.Errorf("create expression environment: %w", err)
	}
	metering, err := newMetering(env)
	if err != nil {
		return language{}, fmt.Errorf("create expression environment: %w", err)
	}
	return language{env: env, metering: metering}, nil
}

// expression is a compiled expression, safe for concurrent use.
type expression struct {
	ast     *cel.Ast
	program cel.Program
	bytes   int // estimated memory
}

// size returns the estimated memory of the expression in bytes.
func (x *expression) size() int { return x.bytes }

// expressionBytes estimates the memory of a compiled expression without nesting. Macros in short lists take the most for each byte
// of text.
func expressionBytes(text string) int { return 2500 + 350*len(text) }

// nesting returns the sum of depth³ of all parts of an expression.
func nesting(parsed *cel.Ast) int {
	sum := 0
	ast.MatchDescendants(ast.NavigateAST(parsed.NativeRep()), func(part ast.NavigableExpr) bool {
		sum += part.Depth() * part.Depth() * part.Depth()
		return false
	})
	return sum
}

// compile compiles an expression. The mistakes have no path. left is the nesting that the expression may have; compile subtracts
// its nesting.
func (l language) compile(text string, left *int) (*expression, Mistakes) {
	if len(text) > maxExpressionBytes {
		return nil, mistakeAt(nil, "the expression has %d bytes: use at most %d", len(text), maxExpressionBytes)
	}
	if strings.TrimSpace(text) == "" {
		return nil, mistakeAt(nil, "the expression is empty")
	}
	parsed, issues := l.env.Parse(text)
	if issues.Err() != nil {
		return nil, fromIssues(issues)
	}
	nested := nesting(parsed)
	if *left -= nested; *left < 0 {
		return nil, mistakeAt(nil, "the expressions nest too deeply: use fewer operators, lists and macros inside each other")
	}
	checked, issues := l.env.Check(parsed)
	if issues.Err() != nil {
		return nil, fromIssues(issues)
	}
	program, err := l.env.Program(checked,
		cel.InterruptCheckFrequency(interruptEvery), cel.CustomDecoratorV2(l.metering.decorate))
	if err != nil {
		return nil, mistakeAt(nil, "%s", err)
	}
	return &expression{ast: checked, program: program, bytes: expressionBytes(text) + nested/nestingPerByte}, nil
}

// compileCriteria compiles an expression. A type that can never be a bool is a mistake.
func (l language) compileCriteria(text string) (*expression, Mistakes) {
	left := maxNesting
	compiled, mistakes := l.compile(text, &left)
	if mistakes != nil {
		return nil, mistakes
	}
	if output := compiled.ast.OutputType(); !output.IsExactType(cel.BoolType) && !output.IsExactType(cel.DynType) {
		return nil, Mistakes{{Line: 1, Column: 1, Message: fmt.Sprintf("yields %s, want bool", output)}}
	}
	return compiled, nil
}

// evaluation evaluates the expressions of one rule for one event. All expressions count their steps on the same meter. An
// evaluation belongs to one goroutine.
type evaluation struct {
	view       eventView
	covers     covers         // in the payload of view
	parameters map[string]any // for a key only
	meter      *meter
}

// newEvaluation returns an evaluation with a new meter.
func newEvaluation(view eventView, covers covers) (evaluation, Mistakes) {
	meter, err := newMeter("rule", maxSteps)
	if err != nil {
		return evaluation{}, mistakeAt(nil, "%s", err)
	}
	return evaluation{view: view, covers: covers, meter: meter}, nil
}

// eval evaluates the expression for an event. The mistakes have no path.
func (x *expression) eval(ctx context.Context, in evaluation) (ref.Val, Mistakes) {
	value, err := x.run(ctx, in)
	if err != nil {
		return nil, Mistakes{x.explain(err)}
	}
	return value, nil
}

// run evaluates the expression. An error of the evaluation itself is a [types.Err].
func (x *expression) run(ctx context.Context, in evaluation) (ref.Val, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	frame, err := interpreter.NewExecutionFrame(map[string]any{
		"event": in.view, "payload": in.view.Payload, "parameters": in.parameters,
	})
	if err != nil {
		return nil, err
	}
	defer frame.Close()
	if err := frame.SetContext(ctx, interruptEvery); err != nil {
		return nil, err
	}
	frame.SetCostTracker(in.meter.tracker)
	value, _, err := x.program.Eval(frame)
	return value, err
}

// evalBool evaluates criteria.
func (x *expression) evalBool(ctx context.Context, in evaluation) (bool, Mistakes) {
	value, mistakes := x.eval(ctx, in)
	if mistakes != nil {
		return false, mistakes
	}
	matched, ok := value.(types.Bool)
	if !ok {
		return false, mistakeAt(nil, "yields %s, want bool", value.Type().TypeName())
	}
	return bool(matched), nil
}
