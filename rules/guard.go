package rules

import (
	"errors"
	"reflect"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxSchemaDepth bounds how many schemas are applied inside each other. Each application takes a few KiB of the stack. A value has
// at most maxDepth levels, so a schema can apply several schemas to each level.
const maxSchemaDepth = 1000

// levelsPerStep is the number of levels of a path that count as one step. Each mistake has a copy of its path.
const levelsPerStep = 5

// guard applies a schema. The validator keeps an error for every schema that refuses a value, until the outermost schema is
// applied: several KiB for one element of a list. A guard replaces the errors of its schema by one error with a [report].
type guard struct {
	checker *checker
	entry   *jsonschema.Schema // outer schemas refer to it; it has no keywords, and calls the guard
	part    *jsonschema.Schema // has the keywords
	leaves  uint64             // inner schemas that are applied to the same value without a guard
	endless bool               // leads to a reference cycle
}

// guards returns the guards of a schema. Parts with inner schemas or with dependencies between members can make many errors. Parts
// for members, elements and keys are applied many times. Every other part is applied once for each value of an outer part, and
// makes few errors, so it needs no guard.
func (c *checker) guards(parts []*jsonschema.Schema) map[*jsonschema.Schema]*guard {
	guards := make(map[*jsonschema.Schema]*guard)
	add := func(entry *jsonschema.Schema) { guards[entry] = &guard{checker: c, entry: entry} }
	for _, part := range parts {
		inside := schemasInside(part)
		if len(inside) > 0 || len(schemasOfValue(part)) > 0 || len(part.DependentRequired) > 0 || len(part.Dependencies) > 0 {
			add(part)
		}
		for _, inner := range inside {
			if inner.Bool == nil || !*inner.Bool {
				add(inner)
			}
		}
	}
	endless := newEndless(parts)
	for entry, g := range guards {
		g.endless = endless.has(entry)
		for _, inner := range schemasOfValue(entry) {
			if guards[inner] == nil {
				g.leaves++
			}
		}
	}
	return guards
}

// mount moves the keywords of the schema from its entry to a copy.
func (g *guard) mount() {
	part := *g.entry
	g.part = &part
	fields := reflect.ValueOf(g.entry).Elem()
	for i := range fields.NumField() {
		if fields.Field(i).CanSet() && !isIdentity(fields.Type().Field(i).Name) {
			fields.Field(i).SetZero()
		}
	}
	g.entry.Extensions = []jsonschema.SchemaExt{g}
}

// isIdentity reports whether a field of a schema is for references to the schema, and not a keyword that checks values.
func isIdentity(field string) bool {
	switch field {
	case "DraftVersion", "Location", "ID", "Anchor", "DynamicAnchor", "RecursiveAnchor":
		return true
	default:
		return false
	}
}

// Validate implements [jsonschema.SchemaExt].
func (g *guard) Validate(ctx *jsonschema.ValidatorContext, value any) {
	frames, level := &g.checker.frames, len(ctx.ValueLocation())
	g.checker.take(g.price(level))
	frames.enter(g, level)
	refused, _ := errors.AsType[*jsonschema.ValidationError](ctx.Validate(g.part, value, nil))
	if failure := frames.leave(refused); failure != nil {
		ctx.AddErr(failure)
	}
}

// price returns the steps of the guard itself.
func (g *guard) price(level int) uint64 {
	steps := uint64(0)
	if g.checker.frames.wanted != nil {
		steps += uint64(level) / levelsPerStep
	}
	if g.endless {
		steps += uint64(len(g.checker.frames.stack)) * stepsOfCycle
	}
	return steps
}

// frame is one application of a schema to a value.
type frame struct {
	guard *guard
	level int // number of keys and indexes on the path of the value
	// parts has the reports about members, elements and keys by their relation to the value; nil without mistakes.
	parts [sameValue]*report
	kept  uint64 // bytes of reports of inner schemas about the same value
	below uint64 // most bytes of reports in a frame inside this frame
}

// relation is what a schema inside another schema is applied to.
type relation int

const (
	insideValue relation = iota // a member or an element
	contained                   // an element, for the keyword contains
	keyOfValue                  // a key, for the keyword propertyNames
	sameValue
)

// relationTo returns the relation of the frame to the outer frame.
func (f *frame) relationTo(outer *frame) relation {
	switch {
	case f.guard.entry == outer.guard.part.PropertyNames:
		return keyOfValue
	case f.level <= outer.level:
		return sameValue
	case f.guard.entry == outer.guard.part.Contains:
		return contained
	default:
		return insideValue
	}
}

// frames are the frames of one run. The last one is the innermost.
type frames struct {
	wanted *listing // nil when the run does not list mistakes
	stack  []frame
	kept   uint64 // bytes of the reports in all frames
	// refused is the error of every guard in a run that does not list mistakes.
	refused *jsonschema.ValidationError
	// marks are the errors for reports in frame.parts.
	marks [sameValue]*jsonschema.ValidationError
}

func newFrames(wanted *listing) frames {
	fs := frames{wanted: wanted, refused: &jsonschema.ValidationError{ErrorKind: &report{}}}
	for i := range fs.marks {
		fs.marks[i] = &jsonschema.ValidationError{ErrorKind: &mark{of: relation(i)}}
	}
	return fs
}

// enter adds the innermost frame.
func (fs *frames) enter(g *guard, level int) {
	if len(fs.stack) >= maxSchemaDepth {
		panic(outOfBounds{errSchemaDepth})
	}
	f := frame{guard: g, level: level, kept: g.leaves * bytesOfError}
	if fs.wanted != nil {
		f.kept = g.leaves * mistakeBytes(level)
	}
	fs.stack = append(fs.stack, f)
	fs.keep(f.kept)
}

// leave removes the innermost frame. It returns the error for the outer schema when the schema of the frame refuses the value.
func (fs *frames) leave(refused *jsonschema.ValidationError) *jsonschema.ValidationError {
	last := len(fs.stack) - 1
	f := fs.stack[last]
	fs.stack = fs.stack[:last]
	fs.kept -= f.kept
	most := f.kept + f.below
	limitKept(most)
	if last > 0 {
		fs.stack[last-1].below = max(fs.stack[last-1].below, most)
	}
	switch {
	case refused == nil:
		return nil
	case fs.wanted == nil:
		return fs.refused
	default:
		return fs.pass(&f, fs.wanted.summary(&f, refused))
	}
}

// pass gives a report to the outer frame. Reports about members and elements are merged at once, because a value can have
// thousands of them. Reports about the same value stay apart, because the outer schema may drop some of them.
func (fs *frames) pass(f *frame, found *report) *jsonschema.ValidationError {
	passed := &jsonschema.ValidationError{SchemaURL: f.guard.entry.Location, ErrorKind: found}
	if len(fs.stack) == 0 {
		return passed
	}
	outer := &fs.stack[len(fs.stack)-1]
	if related := f.relationTo(outer); related != sameValue {
		outer.parts[related] = outer.parts[related].merge(found, fs.wanted.most)
		return fs.marks[related]
	}
	outer.kept += found.bytes()
	fs.keep(found.bytes())
	return passed
}

// keep counts the memory of errors.
func (fs *frames) keep(bytes uint64) {
	fs.kept += bytes
	limitKept(fs.kept)
}

// limitKept ends the run when errors need too much memory. The sum of kept bytes depends on the order in which the validator visits
// members. So leave also checks the largest possible sum, and the outcome does not depend on the order.
func limitKept(bytes uint64) {
	if bytes > maxErrorBytes {
		panic(outOfBounds{errSchemaMemory})
	}
}
