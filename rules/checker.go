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
	// maxSchemaSteps is what one check may take. A step is one schema that looks at one value, one member or element that it
	// looks through, or bytesPerStep bytes of text. A value needs few steps for each of its parts, unless the schema refers
	// to itself in several ways: then every level of the value multiplies them.
	maxSchemaSteps = 1_000_000
	// maxErrorBytes is about how much memory the mistakes of one value may take while they are listed, if there is one
	// wherever a schema looks at a value.
	maxErrorBytes = 160 << 20
)

var (
	errSchemaSteps = attune.Errorf(attune.CodeInvalid,
		"checking it against the schema takes more than %d steps: send less, or simplify the schema", maxSchemaSteps)
	errManyMistakes = attune.Errorf(attune.CodeInvalid, "it does not fit the schema, in too many places to name them")
)

// schema is a compiled JSON Schema, safe for concurrent use.
type schema struct {
	raw  json.RawMessage
	idle sync.Pool // of *checker
}

// check checks a decoded value. The error is a [jsonschema.ValidationError] or that the steps are used up.
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

// checker is a compiled schema that counts the steps of a check. The validator hands no value of ours through a check,
// so a checker serves one check at a time.
type checker struct {
	refuses *jsonschema.Schema // the opposite of details: its validator makes no list of mistakes
	details *jsonschema.Schema
	left    uint64 // steps
	room    uint64 // bytes for mistakes
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
	compiler.RegisterVocabulary(&jsonschema.Vocabulary{URL: schemaURL + "/steps", Compile: c.listing(&parts)})
	err := compiler.AddResource(schemaURL, document)
	if err == nil {
		c.details, err = compiler.Compile(schemaURL)
	}
	if err == nil {
		err = compiler.AddResource(refusesURL, map[string]any{"not": map[string]any{"$ref": schemaURL}})
	}
	if err == nil {
		c.refuses, err = compiler.Compile(refusesURL)
	}
	if err != nil {
		return nil, fromSchemaError(err)
	}
	for _, part := range parts {
		c.count(part)
	}
	return c, nil
}

// listing returns the compiler of a vocabulary without keywords. It lists every schema inside of the schema, also those
// that only a dynamic reference reaches.
func (c *checker) listing(
	parts *[]*jsonschema.Schema,
) func(*jsonschema.CompilerContext, map[string]any) (jsonschema.SchemaExt, error) {
	return func(ctx *jsonschema.CompilerContext, _ map[string]any) (jsonschema.SchemaExt, error) {
		*parts = append(*parts, ctx.Enqueue(nil))
		return c, nil
	}
}

// Validate implements [jsonschema.SchemaExt]. It refuses nothing. The validator calls it behind everything else that a
// schema says, when mistakes are listed: then each has a copy of its place.
func (c *checker) Validate(ctx *jsonschema.ValidatorContext, value any) {
	const mistake, level = 200, 16
	inside := 0
	switch v := value.(type) {
	case map[string]any:
		inside = len(v)
	case []any:
		inside = len(v)
	}
	bytes := uint64((1 + inside) * (mistake + level*(len(ctx.ValueLocation())+1)))
	if bytes > c.room {
		panic(outOfSchemaSteps{})
	}
	c.room -= bytes
}

// count makes a schema take its steps before it looks at a value. The validator asks for the format first, before it
// follows a reference or looks at a member.
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

// check checks a value twice, if need be: to know whether it fits, and to know where it does not.
func (c *checker) check(value any) error {
	over, opposite := c.run(c.refuses, value, maxSchemaSteps, math.MaxUint64)
	if over {
		return errSchemaSteps
	}
	if opposite == nil {
		return c.list(value)
	}
	return nil
}

// list lists the mistakes of a value that does not fit.
func (c *checker) list(value any) error {
	over, mistakes := c.run(c.details, value, maxSchemaSteps, maxErrorBytes)
	if over {
		return errManyMistakes
	}
	return mistakes
}

// outOfSchemaSteps is the panic that ends a run.
type outOfSchemaSteps struct{}

// run validates a value. over says that the steps, or the room for mistakes, were too few.
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
