package rules

import (
	"encoding/json"
	"math"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/attune-go/attune"
)

// Bounds of checking a value against a schema.
const (
	// maxSchemaSteps bounds the steps of one check. A step is one schema that is applied to one value, one visited member or
	// element, or bytesPerStep bytes of text. A value needs few steps for each of its parts. Only a schema with several
	// references to itself needs more: then every level of the value multiplies the steps.
	maxSchemaSteps = 1_000_000
	// maxErrorBytes bounds the estimated memory for the mistakes of one value. The estimate assumes one mistake for each schema
	// that is applied to a value.
	maxErrorBytes = 160 << 20
)

var (
	errSchemaSteps = attune.Errorf(attune.CodeInvalid,
		"the check against the schema takes more than %d steps: send a smaller value, or simplify the schema", maxSchemaSteps)
	errManyMistakes = attune.Errorf(attune.CodeInvalid, "the value violates the schema in more places than can be listed")
)

// schema is a compiled JSON Schema, safe for concurrent use.
type schema struct {
	raw  json.RawMessage
	idle sync.Pool // of *checker that no check uses
}

// check checks a decoded value. The error is a [jsonschema.ValidationError], or says that the check takes too many steps.
func (s *schema) check(value any) error {
	c, ok := s.idle.Get().(*checker)
	if !ok {
		var mistakes Mistakes
		if c, mistakes = newChecker(s.raw); mistakes != nil {
			return mistakes.err()
		}
	}
	defer s.idle.Put(c)
	return c.check(value)
}

// checker is a compiled schema that counts the steps of a check. The counters are in the checker, because the validator passes
// no context to its callbacks. So a checker runs one check at a time.
type checker struct {
	original *jsonschema.Schema
	negated  *jsonschema.Schema // accepts what original refuses; its validator does not collect mistakes
	left     uint64             // steps that the check may still take
	room     uint64             // bytes that mistakes may still take
}

// newChecker compiles a JSON Schema.
func newChecker(raw json.RawMessage) (*checker, Mistakes) {
	document, mistakes := decode(raw)
	if mistakes != nil {
		return nil, mistakes
	}
	c := &checker{}
	var parts []*jsonschema.Schema
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	compiler.AssertFormat()
	compiler.AssertVocabs()
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{URL: schemaURL + "/steps", Compile: c.collector(&parts)})
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
	for _, part := range parts {
		c.count(part)
	}
	return c, nil
}

// collector returns the compiler of a vocabulary without keywords. The library calls the compiler for every schema inside the
// schema, including the targets of dynamic references, and the compiler appends the schema to parts.
func (c *checker) collector(
	parts *[]*jsonschema.Schema,
) func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
	return func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
		*parts = append(*parts, ctx.Enqueue(nil))
		return c, nil
	}
}

// Validate implements [jsonschema.SchemaExt]. It counts the memory that mistakes may take, and accepts every value. The validator
// calls it after all other keywords of a schema, and only when it collects mistakes. Each mistake contains a copy of its path.
func (c *checker) Validate(ctx *jsonschema.ValidatorContext, value any) {
	const mistake, level = 200, 16
	parts := 0
	switch v := value.(type) {
	case map[string]any:
		parts = len(v)
	case []any:
		parts = len(v)
	}
	bytes := uint64((1 + parts) * (mistake + level*(len(ctx.ValueLocation())+1)))
	if bytes > c.room {
		panic(outOfSchemaSteps{})
	}
	c.room -= bytes
}

// count makes a schema count its steps before the validator applies it to a value. It wraps the format of the schema: the
// validator checks the format before it follows a reference or visits a member.
func (c *checker) count(part *jsonschema.Schema) {
	format := jsonschema.Format{Validate: func(any) error { return nil }}
	if part.Format != nil {
		format = *part.Format
	}
	prices := pricesOf(part)
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

// check checks whether a value fits. Only for a value that does not fit, a second check collects the mistakes.
func (c *checker) check(value any) error {
	over, negatedErr := c.run(c.negated, value, maxSchemaSteps, math.MaxUint64)
	if over {
		return errSchemaSteps
	}
	if negatedErr == nil {
		return c.list(value)
	}
	return nil
}

// list returns the mistakes of a value that does not fit.
func (c *checker) list(value any) error {
	over, mistakes := c.run(c.original, value, maxSchemaSteps, maxErrorBytes)
	if over {
		return errManyMistakes
	}
	return mistakes
}

// outOfSchemaSteps is the panic that ends a run.
type outOfSchemaSteps struct{}

// run validates a value. over means that the validation needs more than steps, or that its mistakes need more than room bytes.
func (c *checker) run(schema *jsonschema.Schema, value any, steps, room uint64) (over bool, err error) {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case outOfSchemaSteps:
			over = true
		default:
			panic(reason)
		}
	}()
	c.left, c.room = steps, room
	return false, schema.Validate(value)
}

func (c *checker) take(steps uint64) {
	if steps > c.left {
		panic(outOfSchemaSteps{})
	}
	c.left -= steps
}
