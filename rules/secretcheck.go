package rules

import (
	"encoding/json"
	"maps"
	"slices"

	"cel.dev/cel-go/common/ast"

	"github.com/attune-go/attune/secrets"
)

// CheckSecretCriteria returns a [CheckError] with line and column for criteria that read a secret field of the payload, by the schema of
// the trigger. Criteria may test whether the field exists. It does not report other mistakes: see [CheckCriteria].
func CheckSecretCriteria(criteria string, trigger json.RawMessage) error {
	marking, mistakes := newMarking(trigger)
	if marking == nil || mistakes != nil || criteria == "" {
		return nil
	}
	language, err := newLanguage()
	if err != nil {
		return err
	}
	compiled, mistakes := language.compileCriteria(criteria)
	if mistakes != nil {
		return nil
	}
	var found Mistakes
	err = bounded(func() error {
		for _, r := range readsOf(compiled, payloadVariable) {
			if path, secret := r.secretPath(marking.marks()); secret {
				found = append(found, compiled.mistake(r.expr,
					"reads "+describeSecret(path)+": criteria can only test whether a secret field exists"))
			}
		}
		return nil
	})
	if err != nil {
		return mistakeAt(nil, "%s", err).err()
	}
	return found.err()
}

// describeSecret names a secret field, or a part of the payload with one inside.
func describeSecret(path string) string {
	if path == "/" {
		return "the whole payload, which has secret fields"
	}
	return path + ", which is a secret field or has one inside"
}

// mistake returns a mistake at a part of an expression.
func (x *expression) mistake(at ast.Expr, message string) Mistake {
	m := Mistake{Line: 1, Column: 1, Message: message}
	if start := x.ast.NativeRep().SourceInfo().GetStartLocation(x.start(at)); start.Line() > 0 {
		m.Line, m.Column = start.Line(), start.Column()+1
	}
	return m
}

// start returns the id of the first part of a chain: the place of the chain itself is that of its last operator.
func (x *expression) start(e ast.Expr) int64 {
	for {
		switch {
		case e.Kind() == ast.SelectKind:
			e = e.AsSelect().Operand()
		case e.Kind() == ast.CallKind && len(e.AsCall().Args()) > 0 && !e.AsCall().IsMemberFunction():
			e = e.AsCall().Args()[0]
		default:
			return e.ID()
		}
	}
}

// CheckSecretParameters returns a [CheckError] with path, line and column for parameters of a rule that would show a secret. A secret
// field of the payload, by the schema of the trigger, can only be passed as a whole value into a parameter that the schema of the action
// marks as secret. A constant cannot be a secret parameter, because a pack holds no secrets. It does not report other mistakes: see
// [CheckParameters].
func CheckSecretParameters(parameters, trigger, action json.RawMessage) error {
	if len(parameters) == 0 {
		return nil
	}
	from, mistakes := newMarking(trigger)
	if mistakes != nil {
		return nil
	}
	to, mistakes := newMarking(action)
	if mistakes != nil || from == nil && to == nil {
		return nil
	}
	language, err := newLanguage()
	if err != nil {
		return err
	}
	compiled, mistakes := language.compileTemplate(parameters)
	if mistakes != nil {
		return nil
	}
	check := flowCheck{from: from, to: to}
	if err := bounded(func() error {
		check.template(compiled)
		return check.constants(parameters)
	}); err != nil {
		return mistakeAt(nil, "%s", err).err()
	}
	return check.found.err()
}

// flowCheck finds the secrets that parameters would show.
type flowCheck struct {
	from, to *marking // of the payload and of the parameters; nil without secrets
	found    Mistakes
}

// template checks a part of the parameters with all that is inside.
func (c *flowCheck) template(t *template) {
	for _, key := range slices.Sorted(maps.Keys(t.object)) {
		c.template(t.object[key])
	}
	for _, item := range t.list {
		c.template(item)
	}
	for _, p := range t.pieces {
		if p.expression != nil && c.from != nil {
			c.piece(t, p)
		}
	}
}

// piece checks one expression.
func (c *flowCheck) piece(t *template, p piece) {
	for _, r := range readsOf(p.expression, payloadVariable) {
		path, secret := r.secretPath(c.from.marks())
		if !secret {
			continue
		}
		whole := len(t.pieces) == 1 && r.expr == p.expression.ast.NativeRep().Expr()
		var message string
		switch {
		case !whole:
			message = "reads " + describeSecret(path) + `: a secret field can only be passed as a whole value, "{{ payload.field }}"`
		case !secretAt(c.to.marks(), t.path):
			message = "passes " + describeSecret(path) + " into a parameter that is not secret: mark the parameter with writeOnly: true " +
				"in the schema of the action"
		default:
			continue
		}
		c.found = append(c.found, p.relocate(t.path, Mistakes{p.expression.mistake(r.expr, message)})...)
	}
}

// constants checks that no secret parameter is a constant.
func (c *flowCheck) constants(parameters json.RawMessage) error {
	_, fields, err := secrets.Cover(parameters, c.to.marks(), secrets.Masked)
	if err != nil {
		return err
	}
	for _, f := range fields {
		value, err := decodeNumbersAsText(f.Value)
		if err != nil {
			return err
		}
		if isConstant(value) {
			c.found = append(c.found, mistakeAt(fragment("#"+f.Pointer), "is secret by the schema of the action, and a pack holds no "+
				"secrets: take it from the payload, or let the action ask for it with secrets")...)
		}
	}
	return nil
}

// MarksSecrets reports whether a schema marks a part of its values as secret.
func MarksSecrets(schema json.RawMessage) bool {
	marking, mistakes := newMarking(schema)
	return marking != nil && mistakes == nil
}
