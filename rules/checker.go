package rules

import (
	"encoding/json"
	"slices"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/attune-go/attune"
)

// Bounds of checking a value against a schema.
const (
	// maxSchemaSteps bounds the steps of one check. A step is one schema that is applied to one value, one visited member or
	// element, or bytesPerStep bytes of text. A value needs few steps for each of its parts. Only a schema with several
	// references to itself needs more: then every level of the value multiplies the steps.
	maxSchemaSteps = 1_000_000
	// maxErrorBytes bounds the memory for the mistakes of one value that a check keeps at the same time. A value with mistakes
	// needs a few KiB. Only a schema that offers many alternatives at every level of the value needs more.
	maxErrorBytes = 8 << 20
)

var (
	errSchemaSteps = attune.Errorf(attune.CodeInvalid,
		"the check against the schema takes more than %d steps: send a smaller value, or simplify the schema", maxSchemaSteps)
	errSchemaDepth = attune.Errorf(attune.CodeInvalid,
		"the check against the schema applies more than %d schemas inside each other: simplify the schema", maxSchemaDepth)
	errSchemaMemory = attune.Errorf(attune.CodeInvalid,
		"the check against the schema keeps more than %d MiB: send a smaller value, or simplify the schema", maxErrorBytes>>20)
	errManyMistakes = attune.Errorf(attune.CodeInvalid, "the value violates the schema in more places than can be listed")
)

// checker is a compiled JSON Schema that bounds the steps and the memory of a check. The counters are in the checker, because the
// validator passes no context to its callbacks. So a checker runs one check at a time.
type checker struct {
	original *jsonschema.Schema
	negated  *jsonschema.Schema // accepts what original refuses; its validator stops at the first mistake
	bytes    int                // estimated memory of the compiled schema
	left     uint64             // steps that the check may still take
	frames   frames
}

// newChecker compiles a JSON Schema. The path of a mistake is a path in the schema.
func newChecker(raw json.RawMessage) (*checker, Mistakes) {
	document, bytes, mistakes := decodeSchema(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	c := &checker{bytes: bytes}
	var parts []*jsonschema.Schema
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.AssertFormat()
	compiler.AssertVocabs()
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{URL: schemaURL + "/parts", Compile: collector(&parts)})
	err := compiler.AddResource(schemaURL, document)
	if err == nil {
		c.original, err = compiler.Compile(schemaURL)
	}
	if err == nil {
		err = compiler.AddResource(negatedURL, map[string]any{"not": map[string]any{"$ref": schemaURL}})
	}
	if err == nil {
		c.negated, err = compiler.Compile(negatedURL)
	}
	if err != nil {
		return nil, fromSchemaError(err)
	}
	c.bound(parts)
	return c, nil
}

// size returns the estimated memory of the compiled schema in bytes.
func (c *checker) size() int { return c.bytes }

// collector returns the compiler of a vocabulary without keywords. The library calls the compiler for every schema inside the
// schema, including the targets of dynamic references, and the compiler appends the schema to parts.
func collector(parts *[]*jsonschema.Schema) func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
	return func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
		*parts = append(*parts, ctx.Enqueue(nil))
		return nil, nil //nolint:nilnil // the library asks for nil where a vocabulary has no keywords
	}
}

// bound makes every part of a schema count its steps, and guards the parts that can lead to many mistakes. It reads all parts
// before it changes one.
func (c *checker) bound(parts []*jsonschema.Schema) {
	tracked := slices.ContainsFunc(parts, tracks)
	guards := c.guards(parts)
	for _, part := range parts {
		c.count(part, pricesOf(part, tracked))
	}
	for _, g := range guards {
		g.mount()
	}
}

// count makes a schema count its steps before the validator applies it to a value. It wraps the format of the schema: the
// validator checks the format before it follows a reference or visits a member.
func (c *checker) count(part *jsonschema.Schema, prices schemaPrices) {
	format := jsonschema.Format{Validate: func(any) error { return nil }}
	if part.Format != nil {
		format = *part.Format
	}
	part.Format = &jsonschema.Format{Name: format.Name, Validate: func(value any) error {
		c.take(prices.of(value))
		if text, ok := value.(string); ok && format.Name == "regex" {
			if err := compilable(text); err != nil {
				return err
			}
		}
		return format.Validate(value)
	}}
}

// check checks a decoded value. Only for a value that does not fit, a second check collects the mistakes. The error is a
// [jsonschema.ValidationError], or says which bound the check exceeds.
func (c *checker) check(value any, wanted *listing) error {
	refused, err := c.run(c.negated, value, maxSchemaSteps, nil)
	if err != nil {
		return err
	}
	if refused == nil { // the negated schema accepts the value
		return c.list(value, wanted)
	}
	return nil
}

// list returns the mistakes of a value that does not fit.
func (c *checker) list(value any, wanted *listing) error {
	refused, err := c.run(c.original, value, maxSchemaSteps, wanted)
	if err != nil {
		return errManyMistakes
	}
	return refused
}

// outOfBounds is the panic that ends a run.
type outOfBounds struct{ reason error }

// run validates a value. The result refused is a [jsonschema.ValidationError] when the value does not fit. It has mistakes only
// when the caller wants them listed. The error says which bound the validation exceeds.
func (c *checker) run(schema *jsonschema.Schema, value any, steps uint64, wanted *listing) (refused, err error) {
	defer func() {
		c.frames = frames{} // the reports refer to the value
		switch reason := recover().(type) {
		case nil:
		case outOfBounds:
			refused, err = nil, reason.reason
		default:
			panic(reason)
		}
	}()
	c.left, c.frames = steps, newFrames(wanted)
	return schema.Validate(value), nil
}

func (c *checker) take(steps uint64) {
	if steps > c.left {
		panic(outOfBounds{errSchemaSteps})
	}
	c.left -= steps
}
