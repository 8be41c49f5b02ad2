package rules

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/functions"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"
)

// metering replaces the nodes of a planned expression by nodes that count the steps of their work before they do it. CEL's own
// cost limit counts after a call: too late, because the call has already used the memory.
type metering struct {
	pricings  map[string]pricing             // by name of a function
	overloads map[string]*functions.Overload // by name of an overload or a function, like in CEL's planner
	factory   interpreter.AttributeFactory
}

// newMetering returns the metering of an environment. A function without a price is an error.
func newMetering(env *cel.Env) (*metering, error) {
	m := &metering{
		pricings:  pricings(),
		overloads: make(map[string]*functions.Overload),
		factory:   interpreter.NewAttributeFactory(env.Container, env.CELTypeAdapter(), env.CELTypeProvider()),
	}
	for name, declared := range env.Functions() {
		if m.pricings[name] == nil {
			return nil, fmt.Errorf("the function %q has no price", name)
		}
		bound, err := declared.Bindings()
		if err != nil {
			return nil, fmt.Errorf("read the bindings of function %q: %w", name, err)
		}
		for _, overload := range bound {
			m.overloads[overload.Operator] = overload
		}
	}
	for name, operator := range replacedOperators() {
		m.overloads[name] = &functions.Overload{Operator: name, Binary: operator}
	}
	return m, nil
}

// decorate implements [interpreter.InterpretableDecoratorV2].
func (m *metering) decorate(node interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
	switch node := node.(type) {
	case *meteredAttribute:
		return node, nil
	case interpreter.InterpretableConst:
		return meteredConst{node}, nil
	case interpreter.InterpretableAttribute:
		return &meteredAttribute{InterpretableAttribute: node, factory: m.factory}, nil
	case interpreter.InterpretableConstructor:
		if made := node.Type(); made != types.ListType && made != types.MapType {
			return nil, errors.New("a message cannot be made: use a map")
		}
		return meteredConstructor{node}, nil
	case interpreter.InterpretableCall:
		return m.meter(node)
	default:
		return node, nil
	}
}

// meter replaces a call. It keeps the node of a function without a binding: such a node of CEL makes no call.
func (m *metering) meter(call interpreter.InterpretableCall) (interpreter.InterpretableV2, error) {
	overload, found := m.overloads[call.OverloadID()]
	if !found {
		overload, found = m.overloads[call.Function()]
	}
	if !found {
		return call, nil
	}
	if err := checkPattern(call); err != nil {
		return nil, err
	}
	pricing, priced := m.pricings[call.Function()]
	if !priced {
		return nil, fmt.Errorf("the function %q has no price", call.Function())
	}
	return &meteredCall{InterpretableCall: call, overload: overload, pricing: pricing}, nil
}

// meteredConst counts one step for a literal, so that a loop with only a literal in its body ends.
type meteredConst struct{ interpreter.InterpretableConst }

// Exec implements [interpreter.InterpretableV2].
func (c meteredConst) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	meterOf(frame).take(1)
	return c.InterpretableConst.Exec(frame)
}

// Eval implements [interpreter.Interpretable].
func (c meteredConst) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// meteredConstructor counts every value in a new list or map. A value that the list contains several times counts several times.
// So the result of an expression, as a tree, is never larger than the count.
type meteredConstructor struct {
	interpreter.InterpretableConstructor
}

// Exec implements [interpreter.InterpretableV2]. It counts after the list is made, because a new list only refers to its elements.
func (c meteredConstructor) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	made := c.InterpretableConstructor.Exec(frame)
	if !types.IsUnknownOrError(made) {
		m := meterOf(frame)
		m.take(weigh(m.left(), made))
	}
	return made
}

// Eval implements [interpreter.Interpretable].
func (c meteredConstructor) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// meteredAttribute counts the key of an index operation: the y of x[y]. CEL counts the operation as one step, even for a long
// key.
type meteredAttribute struct {
	interpreter.InterpretableAttribute
	factory interpreter.AttributeFactory
}

// Qualify implements [interpreter.Qualifier].
func (a *meteredAttribute) Qualify(vars interpreter.Activation, obj any) (any, error) {
	key, err := a.key(vars)
	if err != nil {
		return nil, err
	}
	return key.Qualify(vars, obj)
}

// QualifyIfPresent implements [interpreter.Qualifier].
func (a *meteredAttribute) QualifyIfPresent(vars interpreter.Activation, obj any, presenceOnly bool) (any, bool, error) {
	key, err := a.key(vars)
	if err != nil {
		return nil, false, err
	}
	return key.QualifyIfPresent(vars, obj, presenceOnly)
}

func (a *meteredAttribute) key(vars interpreter.Activation) (interpreter.Qualifier, error) {
	frame, ok := vars.(*interpreter.ExecutionFrame)
	if !ok {
		return nil, errors.New("an index expression needs an execution frame")
	}
	value, err := a.Resolve(frame)
	if err != nil {
		return nil, err
	}
	m := meterOf(frame)
	m.take(weigh(m.left(), a.Adapter().NativeToValue(value)))
	return a.factory.NewQualifier(nil, a.ID(), value, a.IsOptional())
}

// meteredCall counts the steps of a call before the call. It refuses a call with a result that could be too large.
type meteredCall struct {
	interpreter.InterpretableCall

	overload *functions.Overload
	pricing  pricing
}

// Eval implements [interpreter.Interpretable].
func (c *meteredCall) Eval(vars interpreter.Activation) ref.Val {
	return interpreter.EvalActivation(vars, c.Exec)
}

// Exec implements [interpreter.InterpretableV2].
func (c *meteredCall) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	args := make([]ref.Val, len(c.Args()))
	for i, arg := range c.Args() {
		args[i] = arg.Exec(frame)
		if types.IsUnknownOrError(args[i]) && !c.overload.NonStrict {
			return args[i]
		}
	}
	m := meterOf(frame)
	price := c.pricing(m.left(), args)
	m.take(1)
	m.take(price.steps)
	if reason := price.tooMuch(); reason != "" {
		return types.NewErrWithNodeID(c.ID(), "%s", reason)
	}
	m.take(price.made / bytesPerStep)
	return c.label(c.call(args))
}

// call calls the function as CEL's interpreter does.
func (c *meteredCall) call(args []ref.Val) ref.Val {
	callable := len(args) == 0 || c.overload.OperandTrait == 0 || args[0].Type().HasTrait(c.overload.OperandTrait) ||
		c.overload.NonStrict && types.IsUnknownOrError(args[0])
	switch {
	case callable && c.overload.Unary != nil && len(args) == 1:
		return c.overload.Unary(args[0])
	case callable && c.overload.Binary != nil && len(args) == 2:
		return c.overload.Binary(args[0], args[1])
	case callable && c.overload.Function != nil:
		return c.overload.Function(args...)
	default:
		return types.NewErr("no such overload")
	}
}

// label adds the place of the call to an error. It returns a copy, because evaluations share some errors.
func (c *meteredCall) label(value ref.Val) ref.Val {
	if err, ok := value.(*types.Err); ok && (err.NodeID() == 0 || value == types.NoSuchOverloadErr()) {
		return types.NewErrWithNodeID(c.ID(), "%w", err)
	}
	return value
}
