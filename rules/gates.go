package rules

import (
	"context"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/attune-go/attune"
)

// compileCost compiles the cost of a rate or quota. A type that can never be an int is a mistake.
func (l language) compileCost(text string) (*expression, Mistakes) {
	left := maxNesting
	compiled, mistakes := l.compile(text, &left)
	if mistakes != nil {
		return nil, mistakes
	}
	if output := compiled.ast.OutputType(); !output.IsExactType(cel.IntType) && !output.IsExactType(cel.DynType) {
		return nil, Mistakes{{Line: 1, Column: 1, Message: fmt.Sprintf("yields %s, want int", output)}}
	}
	return compiled, nil
}

// charge evaluates the key and the cost of a gate. part names the one that failed. The covers are those of the parameters.
func (e *Engine) charge(
	ctx context.Context, in evaluation, covers covers, gate attune.Gate,
) (charge attune.Charge, part string, mistakes Mistakes) {
	charge = attune.Charge{GateID: gate.GateID, Cost: 1}
	if gate.Key != "" {
		if charge.Key, mistakes = e.lane(ctx, in, covers, gate.Key); mistakes != nil {
			return charge, "key", mistakes
		}
	}
	if gate.Cost != "" {
		charge.Cost, mistakes = e.cost(ctx, in, gate.Cost)
	}
	return charge, "cost", mistakes
}

// cost evaluates a cost.
func (e *Engine) cost(ctx context.Context, in evaluation, cost string) (int64, Mistakes) {
	compiled, mistakes := e.costs.get(cost, func() (*expression, Mistakes) { return e.keyed.compileCost(cost) })
	if mistakes != nil {
		return 0, mistakes
	}
	value, mistakes := compiled.eval(ctx, in)
	if mistakes != nil {
		return 0, mistakes
	}
	switch units, ok := value.(types.Int); {
	case !ok:
		return 0, mistakeAt(nil, "yields %s, want int: convert with int()", value.Type().TypeName())
	case units < 0 || units > attune.MaxCost:
		return 0, mistakeAt(nil, "yields %d: use 0 to %d", units, attune.MaxCost)
	default:
		return int64(units), nil
	}
}

// rejectGate returns the decision for a gate that failed. The parameters stay, because people need them to find out why.
func (e *Engine) rejectGate(
	candidate attune.Candidate, decision attune.Decision, covers covers, part string, mistakes Mistakes,
) attune.Decision {
	rejected := reject(candidate, attune.ReasonGateInvalid, part, mistakes)
	rejected.Parameters, rejected.Detail = decision.Parameters, covers.clean(rejected.Detail)
	return rejected
}

// CheckCost returns a [CheckError] with line and column for the cost of a rate or quota that has a syntax error, an unknown name, or
// another type than int. The checks of keys for secrets hold for costs as well: see [CheckKeyParameters] and [CheckKeyPayload].
func CheckCost(cost string) error {
	language, err := newKeyLanguage()
	if err != nil {
		return mistakeAt(nil, "%s", err).err()
	}
	_, mistakes := language.compileCost(cost)
	return mistakes.err()
}
