package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const (
	// maxDetailBytes bounds the detail of a decision, in bytes.
	maxDetailBytes = 1000
	// maxDecidedBytes bounds the parameters of all decisions about one event: they are in memory until the event is recorded.
	maxDecidedBytes = 16 * attune.MaxPayloadBytes
)

// Engine decides which enforcements follow from an event. It caches compiled expressions and schemas, and is safe for
// concurrent use.
type Engine struct {
	language  language
	keyed     language // of keys and costs
	criteria  *cache[*expression]
	keys      *cache[*expression]
	costs     *cache[*expression]
	templates *cache[*template]
	schemas   *stock
	markings  *cache[*marking]
}

// NewEngine returns an engine with empty caches.
func NewEngine() (*Engine, error) {
	language, err := newLanguage()
	if err != nil {
		return nil, err
	}
	keyed, err := newKeyLanguage()
	if err != nil {
		return nil, err
	}
	return &Engine{
		language:  language,
		keyed:     keyed,
		criteria:  newCache[*expression](cacheBytes),
		keys:      newCache[*expression](cacheBytes),
		costs:     newCache[*expression](cacheBytes),
		templates: newCache[*template](cacheBytes),
		schemas:   newStock(cacheBytes),
		markings:  newCache[*marking](cacheBytes),
	}, nil
}

// Decide returns one decision per candidate whose criteria match the event or cannot be evaluated, in the order of the
// candidates:
//
//	created                         Parameters are rendered and fit the action's schema
//	rejected, criteria_failed       the criteria could not be evaluated
//	rejected, parameters_invalid    a template failed, the action's schema refuses the result, or the rules before it have used
//	                                the memory for the parameters of one event
//	rejected, key_invalid           the candidate's key failed, or its value has no text
//	rejected, gate_invalid          the key or the cost of a rate or quota failed
//
// The key chooses the lane of a created decision: see the package documentation. Its charges are those of the candidate's gates.
//
// Detail of a rejected decision says what failed and where. When ctx ends, the evaluation stops, and the caller must discard the
// result.
//
// The secret parameters of a decision are in its field Secrets. No expression sees a secret field of the event: see the package
// documentation.
func (e *Engine) Decide(ctx context.Context, event attune.Event, candidates []attune.Candidate) []attune.Decision {
	covers := newCovers(event.Payload, event.Secrets)
	view, mistakes := newEventView(event, covers)
	var decisions []attune.Decision
	left := maxDecidedBytes
	for _, candidate := range candidates {
		if mistakes != nil {
			decisions = append(decisions, reject(candidate, attune.ReasonCriteriaFailed, "criteria", mistakes))
		} else if decision, matched := e.decide(ctx, view, covers, candidate); matched {
			decision.Detail = covers.clean(decision.Detail)
			decisions = append(decisions, fitInto(&left, candidate, decision))
		}
	}
	return decisions
}

// fitInto subtracts the parameters of a decision from the bytes that are left for the event. It rejects a rule whose parameters
// need more.
func fitInto(left *int, candidate attune.Candidate, decision attune.Decision) attune.Decision {
	size := len(decision.Parameters)
	for _, f := range decision.Secrets {
		size += len(f.Pointer) + len(f.Value)
	}
	if size > *left {
		return reject(candidate, attune.ReasonParametersInvalid, "parameters",
			mistakeAt(nil, "the rules of this event make more than %d MiB of parameters", maxDecidedBytes>>20))
	}
	*left -= size
	return decision
}

// decide decides for one rule. matched is false when the criteria yield false.
func (e *Engine) decide(
	ctx context.Context, view eventView, covers covers, candidate attune.Candidate,
) (decision attune.Decision, matched bool) {
	in, mistakes := newEvaluation(view, covers)
	if mistakes == nil {
		matched, mistakes = e.matches(ctx, in, candidate.Rule)
	}
	switch {
	case mistakes != nil:
		return reject(candidate, attune.ReasonCriteriaFailed, "criteria", mistakes), true
	case matched:
		return e.decideMatch(ctx, in, candidate), true
	default:
		return attune.Decision{}, false
	}
}

// matches evaluates a rule's criteria.
func (e *Engine) matches(ctx context.Context, in evaluation, rule attune.Rule) (bool, Mistakes) {
	if rule.Criteria == "" {
		return true, nil
	}
	compiled, mistakes := e.criteria.get(rule.Criteria, func() (*expression, Mistakes) {
		return e.language.compileCriteria(rule.Criteria)
	})
	if mistakes != nil {
		return false, mistakes
	}
	return compiled.evalBool(ctx, in)
}

// decideMatch renders the parameters of a rule that matched.
func (e *Engine) decideMatch(ctx context.Context, in evaluation, candidate attune.Candidate) attune.Decision {
	parameters, mistakes := e.render(ctx, in, candidate.Rule)
	if mistakes != nil {
		return reject(candidate, attune.ReasonParametersInvalid, "parameters", mistakes)
	}
	if err := ctx.Err(); err != nil {
		return reject(candidate, attune.ReasonParametersInvalid, "parameters", mistakeAt(nil, "%s", err))
	}
	masked, full, fields, mistakes := e.settle(in.covers, candidate.Action.Schema, parameters)
	if mistakes != nil {
		return reject(candidate, attune.ReasonParametersInvalid, "parameters", mistakes)
	}
	if mistakes := e.checkParameters(candidate.Action, full); mistakes != nil {
		part := fmt.Sprintf("parameters of action %q", candidate.Action.Ref)
		rejected := reject(candidate, attune.ReasonParametersInvalid, part, mistakes)
		rejected.Parameters = masked
		return rejected
	}
	decision := create(candidate.Rule.ID, candidate.Action, masked, fields)
	return e.choose(ctx, candidate, decision, func(map[string]any) (evaluation, Mistakes) { return in, nil })
}

func (e *Engine) render(ctx context.Context, in evaluation, rule attune.Rule) (json.RawMessage, Mistakes) {
	compiled, mistakes := e.templates.get(string(rule.Parameters), func() (*template, Mistakes) {
		return e.language.compileTemplate(rule.Parameters)
	})
	if mistakes != nil {
		return nil, mistakes
	}
	var out encoder
	_, mistakes = compiled.render(ctx, in, &out)
	return out.buf, mistakes
}

func (e *Engine) checkParameters(action attune.Action, parameters json.RawMessage) Mistakes {
	value, mistakes := decodeObject(parameters)
	if mistakes != nil {
		return mistakes
	}
	return e.maskMessages(action.Schema, e.conform(action.Schema, value))
}

// conform checks a decoded object against a schema; an empty schema accepts all.
func (e *Engine) conform(raw json.RawMessage, value map[string]any) Mistakes {
	if len(raw) == 0 {
		return nil
	}
	compiled, mistakes := e.schemas.take(string(raw))
	if mistakes != nil {
		return mistakes
	}
	defer e.schemas.give(string(raw), compiled)
	return compiled.validate(value)
}

// create returns a decision that an action must run, with the queue in which the enforcement waits, and the lane of an action without
// a key.
func create(rule attune.RuleID, action attune.Action, parameters json.RawMessage, fields []attune.SecretField) attune.Decision {
	decision := attune.Decision{
		RuleID: rule, ActionID: action.ID, Parameters: parameters, Status: attune.EnforcementCreated,
		Queue: policy.DefaultQueue(action.Ref), Secrets: fields,
	}
	if action.Queue != "" {
		decision.Queue, decision.Lane = action.Queue, attune.ActionLane(action.ID)
	}
	return decision
}

func reject(candidate attune.Candidate, reason attune.Reason, part string, mistakes Mistakes) attune.Decision {
	return attune.Decision{
		RuleID:     candidate.Rule.ID,
		ActionID:   candidate.Action.ID,
		Parameters: json.RawMessage("{}"),
		Status:     attune.EnforcementRejected,
		Reason:     reason,
		Detail:     detail(partOf(candidate.Rule.Ref, part) + ": " + mistakes.String()),
	}
}

// partOf names a part of a rule, or a part of a direct run.
func partOf(rule attune.Ref, part string) string {
	if rule == "" {
		return part
	}
	return fmt.Sprintf("rule %q, %s", rule, part)
}

// detail makes a text safe to store and to show: valid UTF-8, without NUL, at most maxDetailBytes. The text may quote any value.
func detail(text string) string {
	return attune.Shorten(strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD"), maxDetailBytes)
}

// Manual returns the decision for a direct run of an action. Empty parameters mean an empty object. Parameters that are not a
// JSON object, are too large, or do not fit the action's schema are an [attune.CodeInvalid] error: the caller gets the error, and
// no enforcement is recorded. The secret parameters are in the field Secrets of the decision.
func (e *Engine) Manual(action attune.Action, parameters json.RawMessage) (attune.Decision, error) {
	if len(parameters) == 0 {
		parameters = json.RawMessage("{}")
	}
	if mistakes := e.checkParameters(action, parameters); mistakes != nil {
		return attune.Decision{}, attune.Errorf(attune.CodeInvalid, "parameters of action %q: %s", action.Ref, detail(mistakes.String()))
	}
	masked, fields, mistakes := e.mask(action.Schema, parameters)
	if mistakes != nil {
		return attune.Decision{}, attune.Errorf(attune.CodeInvalid, "parameters of action %q: %s", action.Ref, detail(mistakes.String()))
	}
	return create(0, action, masked, fields), nil
}

// CheckEvent returns an [attune.CodeInvalid] error for a payload that is not a JSON object, is too large, contains text or
// numbers that cannot be stored, or does not fit the trigger's schema.
func (e *Engine) CheckEvent(trigger attune.Trigger, payload json.RawMessage) error {
	value, mistakes := decodeObject(payload)
	if mistakes == nil {
		mistakes = e.maskMessages(trigger.Schema, e.conform(trigger.Schema, value))
	}
	if mistakes == nil {
		return nil
	}
	return attune.Errorf(attune.CodeInvalid, "payload of trigger %q: %s", trigger.Ref, detail(mistakes.String()))
}

// MaskEvent takes the secret fields out of the payload of an event, and puts [attune.SecretMask] in their places. The payload must have
// passed [Engine.CheckEvent]. The error is [attune.CodeInvalid] for a payload with too many parts for its schema.
func (e *Engine) MaskEvent(trigger attune.Trigger, payload json.RawMessage) (json.RawMessage, []attune.SecretField, error) {
	masked, fields, mistakes := e.mask(trigger.Schema, payload)
	if mistakes != nil {
		return nil, nil, attune.Errorf(attune.CodeInvalid, "payload of trigger %q: %s", trigger.Ref, detail(mistakes.String()))
	}
	return masked, fields, nil
}
