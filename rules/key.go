package rules

import (
	"context"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/attune-go/attune"
)

// keyValues says which values of a key have a lane, for messages.
const keyValues = "a text, a number, a boolean or null"

// compileKey compiles the key of a policy. A type that can never have a lane is a mistake.
func (l language) compileKey(text string) (*expression, Mistakes) {
	left := maxNesting
	compiled, mistakes := l.compile(text, &left)
	if mistakes != nil {
		return nil, mistakes
	}
	if output := compiled.ast.OutputType(); !hasLane(output) {
		return nil, Mistakes{{Line: 1, Column: 1, Message: fmt.Sprintf("yields %s, want %s", output, keyValues)}}
	}
	return compiled, nil
}

// hasLane reports whether some value of a type has a lane. An optional has the lane of its value.
func hasLane(t *cel.Type) bool {
	if t.Kind() == types.OpaqueKind && t.TypeName() == types.OptionalType.TypeName() && len(t.Parameters()) == 1 {
		t = t.Parameters()[0]
	}
	switch t.Kind() {
	case types.StringKind, types.IntKind, types.UintKind, types.DoubleKind, types.BoolKind, types.NullTypeKind, types.DynKind:
		return true
	default:
		return false
	}
}

// choose returns a created decision with its lane and its charges, or the rejected decision if the candidate's key or a gate fails.
// prepare returns the evaluation for decoded parameters. All expressions of a candidate share its steps.
func (e *Engine) choose(
	ctx context.Context, candidate attune.Candidate, decision attune.Decision,
	prepare func(parameters map[string]any) (evaluation, Mistakes),
) attune.Decision {
	if candidate.Key == nil && len(candidate.Gates) == 0 {
		return decision
	}
	covers := newCovers(decision.Parameters, decision.Secrets)
	var in evaluation
	parameters, mistakes := covers.decode(decision.Parameters)
	if mistakes == nil {
		in, mistakes = prepare(parameters)
	}
	in.parameters = parameters
	if candidate.Key != nil {
		if mistakes == nil {
			decision.Lane, mistakes = e.lane(ctx, in, covers, *candidate.Key)
		}
		if mistakes != nil {
			return e.rejectKey(candidate, decision, covers, mistakes)
		}
	}
	for _, gate := range candidate.Gates {
		if mistakes != nil {
			return e.rejectGate(candidate, decision, covers, gate.String(), mistakes)
		}
		charge, part, mistakes := e.charge(ctx, in, covers, gate)
		if mistakes != nil {
			return e.rejectGate(candidate, decision, covers, part+" of "+gate.String(), mistakes)
		}
		decision.Charges = append(decision.Charges, charge)
	}
	return decision
}

// rejectKey returns the decision for a key that failed. The parameters stay, because people need them to find out why.
func (e *Engine) rejectKey(
	candidate attune.Candidate, decision attune.Decision, covers covers, mistakes Mistakes,
) attune.Decision {
	const shown = 100 // bytes of the key
	part := fmt.Sprintf("key %q of the policy of action %q", attune.Shorten(*candidate.Key, shown), candidate.Action.Ref)
	rejected := reject(candidate, attune.ReasonKeyInvalid, part, mistakes)
	rejected.Parameters, rejected.Detail = decision.Parameters, covers.clean(rejected.Detail)
	return rejected
}

// lane evaluates a key. The covers are those of the parameters.
func (e *Engine) lane(ctx context.Context, in evaluation, covers covers, key string) (attune.LaneName, Mistakes) {
	compiled, mistakes := e.keys.get(key, func() (*expression, Mistakes) { return e.keyed.compileKey(key) })
	if mistakes != nil {
		return "", mistakes
	}
	value, err := compiled.run(ctx, in)
	switch {
	case isMissing(err):
		return attune.NoLane, nil
	case err != nil:
		return "", Mistakes{compiled.explain(err)}
	}
	lane, mistakes := laneOf(value)
	if text := []byte(lane); covers.in(text) || in.covers.in(text) {
		return "", mistakeAt(nil, "yields a secret field: people see the text of a lane")
	}
	return lane, mistakes
}

// laneOf returns the lane of a key's value. An empty optional is a missing value.
func laneOf(value ref.Val) (attune.LaneName, Mistakes) {
	if optional, ok := value.(*types.Optional); ok {
		if !optional.HasValue() {
			return attune.NoLane, nil
		}
		value = optional.GetValue()
	}
	switch value.(type) {
	case types.Null:
		return attune.NoLane, nil
	case types.String, types.Int, types.Uint, types.Double, types.Bool:
		text, ok := value.ConvertToType(types.StringType).(types.String)
		if !ok {
			return "", mistakeAt(nil, "a value of type %s has no text", value.Type().TypeName())
		}
		return namedLane(string(text))
	default:
		return "", mistakeAt(nil, "yields %s, want %s", value.Type().TypeName(), keyValues)
	}
}

// namedLane returns the lane of a text.
func namedLane(text string) (attune.LaneName, Mistakes) {
	lane := attune.LaneOf(text)
	if err := lane.Validate(); err != nil {
		return "", mistakeAt(nil, "%s", err)
	}
	return lane, nil
}

// Lane returns the decision for a direct run with its lane, which the key of the action chooses, and with its charges at the gates of
// the action. The decision is that of [Engine.Manual], and event is the recorded event of the run. For key and gates, the payload of
// event has the members action and parameters. A key that fails rejects the decision with the reason key_invalid, and a gate that fails
// with gate_invalid. When ctx ends, the evaluation stops, and the caller must discard the result.
func (e *Engine) Lane(ctx context.Context, event attune.Event, action attune.Action, decision attune.Decision) attune.Decision {
	candidate := attune.Candidate{Action: action, Key: action.Key, Gates: action.Gates}
	return e.choose(ctx, candidate, decision, func(parameters map[string]any) (evaluation, Mistakes) {
		meter, err := newMeter("key", maxSteps)
		if err != nil {
			return evaluation{}, mistakeAt(nil, "%s", err)
		}
		return evaluation{view: manualView(event, action, parameters), meter: meter}, nil
	})
}

// manualView returns the variable event of a direct run. Its payload has the parameters with covers in the places of secrets.
func manualView(event attune.Event, action attune.Action, parameters map[string]any) eventView {
	return eventView{
		Trigger: string(event.Trigger), Source: string(event.Source), ReceivedAt: event.ReceivedAt,
		Payload: map[string]any{"action": string(action.Ref), "parameters": parameters},
	}
}

// Rechoose returns the decision about a recorded enforcement with the lane and the charges that the key and the gates of the action choose.
// The values of secrets are not needed: covers are in their places, as when the event was recorded. A key or a gate that fails rejects the
// decision: see [Engine.Lane]. When ctx ends, the evaluation stops, and the caller must discard the result.
func (e *Engine) Rechoose(ctx context.Context, run attune.RecordedRun, action attune.Action) attune.Decision {
	_, secrets, mistakes := e.mask(run.ParametersSchema, run.Parameters)
	decision := create(0, action, run.Parameters, secrets)
	if run.Event.Trigger == attune.ManualTrigger && mistakes == nil {
		return e.Lane(ctx, run.Event, action, decision)
	}
	candidate := attune.Candidate{Action: action, Key: action.Key, Gates: action.Gates}
	return e.choose(ctx, candidate, decision, func(map[string]any) (evaluation, Mistakes) {
		if mistakes != nil {
			return evaluation{}, mistakes
		}
		_, secrets, mistakes := e.mask(run.PayloadSchema, run.Event.Payload)
		if mistakes != nil {
			return evaluation{}, mistakes
		}
		covers := newCovers(run.Event.Payload, secrets)
		view, mistakes := newEventView(run.Event, covers)
		if mistakes != nil {
			return evaluation{}, mistakes
		}
		return newEvaluation(view, covers)
	})
}
