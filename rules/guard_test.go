package rules

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
)

// genDocument draws a small value for the schemas of genKeywords.
func genDocument(depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{rapid.Just[any](nil), rapid.Just[any](int64(1)), rapid.Just[any]("text")}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	keys := rapid.SampledFrom([]string{"a", "ab", "q", "x"})
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(genDocument(depth-1), 0, 3).AsAny(),
		rapid.MapOfN(keys, genDocument(depth-1), 0, 3).AsAny(),
	)...)
}

// plainSchema compiles a schema without bounds.
func plainSchema(t *rapid.T, raw string) *jsonschema.Schema {
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(raw))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource(schemaURL, document))
	compiled, err := compiler.Compile(schemaURL)
	require.NoError(t, err)
	return compiled
}

func TestChecker_AcceptsWhatTheLibraryAccepts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := recursiveSchema(genKeywords(2).Draw(t, "keywords"))
		value := genDocument(3).Draw(t, "value")
		c, mistakes := newChecker(json.RawMessage(raw))
		require.Empty(t, mistakes)
		found := c.validate(value)
		if len(found) == 1 && strings.Contains(found[0].Message, "takes more than") {
			t.Skip("the schema branches too much")
		}
		require.Equal(t, plainSchema(t, raw).Validate(value) == nil, found == nil, "%s with %v: %s", raw, value, found)
		for range 3 {
			require.Equal(t, found, c.validate(value), "the mistakes do not depend on the order of members")
		}
	})
}

func TestChecker_ListsTheSmallestMistakes(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, schema, value, want string }{
		{"elements before the others by their path, and the number of the others", `{"items": {"type": "string"}}`,
			`[` + repeat(1000, same("1")) + `]`, `/0: got number, want string; /1: got number, want string; /10: got number, want string; ` +
				`/100: got number, want string; /101: got number, want string; and 995 more`},
		{"mistakes of an alternative, of contains and of members together",
			`{"properties": {"a": {"anyOf": [{"contains": {"type": "number", "minimum": 5}}, {"items": {"required": ["k"]}}]}, "b": false}, "required": ["c"]}`,
			`{"a": [1, {}], "b": 1}`, `missing property 'c'; /a/0: minimum: got 1, want 5; /a/1: got object, want number; /a/1: missing property 'k'; /b: not allowed`},
		{"no mistakes of a keyword that accepts the value", `{"contains": {"type": "string"}, "items": {"maxLength": 1}}`,
			`[1, "a", "bcd"]`, `/2: maxLength: got 3, want 1`},
		{"keys", `{"propertyNames": {"maxLength": 2}, "additionalProperties": {"propertyNames": {"maxLength": 1}}}`,
			`{"abc": {"de": 1}, "x": {}}`, `maxLength: got 2, want 1; maxLength: got 3, want 2`},
		{"elements that no schema evaluates", `{"prefixItems": [true], "unevaluatedItems": {"type": "string"}, "allOf": [{"prefixItems": [true, true]}]}`,
			`[1, 2, 3]`, `/2: got number, want string`},
		{"the same mistake only once", `{"allOf": [{"$ref": "#/$defs/s"}, {"$ref": "#/$defs/s"}], "$defs": {"s": {"required": ["k"]}}}`,
			`{}`, `missing property 'k'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, mistakes := newChecker(json.RawMessage(tt.schema))
			require.Empty(t, mistakes)
			value, mistakes := decode(json.RawMessage(tt.value))
			require.Empty(t, mistakes)
			for range 10 {
				require.Equal(t, tt.want, c.validate(value).String())
			}
		})
	}
}

func TestChecker_Depth(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		links int
		want  string
	}{
		"schemas inside each other are bounded": {20, "the check against the schema applies more than 1000 schemas inside each other: simplify the schema"},
		"a few schemas for each level are fine": {5, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, mistakes := newChecker(json.RawMessage(chained(tt.links, `{"items":{"$ref":"#/$defs/n0"}}`, `{"$ref":"#/$defs/n0"}`)))
			require.Empty(t, mistakes)
			value, mistakes := decode(json.RawMessage(`{"p":` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}`))
			require.Empty(t, mistakes)
			require.Equal(t, tt.want, c.validate(value).String())
		})
	}
}

func TestChecker_ReferenceCycle(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{
		"$ref":          `{"properties": {"p": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}`,
		"$dynamicRef":   `{"$dynamicAnchor": "n", "properties": {"p": {"$dynamicRef": "#n"}}, "anyOf": [{"$dynamicRef": "#n"}]}`,
		"$recursiveRef": `{"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": true, "anyOf": [{"$recursiveRef": "#"}]}`,
	} {
		t.Run("a cycle of "+name+" is refused and takes many steps", func(t *testing.T) {
			t.Parallel()
			c, mistakes := newChecker(json.RawMessage(schema))
			require.Empty(t, mistakes)
			require.ErrorContains(t, c.validate(map[string]any{"p": int64(1)}).err(), "causing reference cycle")
			require.Less(t, c.left, uint64(maxSchemaSteps-stepsOfCycle))
		})
	}
}

func TestCompiled_TooLarge(t *testing.T) {
	t.Parallel()
	const schema = "the compiled schema needs more than 16 MiB of memory: use fewer parts, shorter keys and simpler patterns"
	for name, raw := range map[string]string{
		"a long text":           `{"description":"` + strings.Repeat("x", 1<<20) + `"}`,
		"many parts":            `{"anyOf":[` + repeat(6000, same(`{"type":"string"}`)) + `]}`,
		"many booleans":         `{"anyOf":[` + repeat(6000, same(`true`)) + `]}`,
		"a long key above many": `{"properties":{"` + strings.Repeat("k", 50_000) + `":{"anyOf":[` + repeat(1000, same(`{}`)) + `]}}}`,
		"large patterns":        `{"anyOf":[` + repeat(100, same(`{"pattern":"`+strings.Repeat("x{999}", 60)+`"}`)) + `]}`,
		"large patterns of keys": `{"patternProperties":{` +
			repeat(100, numbered(`"#`+strings.Repeat("x{999}", 60)+`":{}`)) + `}}`,
	} {
		t.Run("a schema with "+name+" is refused", func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, CheckSchema(json.RawMessage(raw)), schema)
		})
	}
	t.Run("parameters with many templates are refused", func(t *testing.T) {
		t.Parallel()
		require.EqualError(t, CheckParameters(json.RawMessage(`{"l":[`+repeat(10_000, same(`"{{ 1 }}"`))+`]}`)),
			"the compiled templates need more than 16 MiB of memory: use fewer or shorter templates")
	})
	t.Run("parameters with many constants are valid", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, CheckParameters(json.RawMessage(`{"l":[`+repeat(50_000, same(`"{ 1 }"`))+`],"t":"{{ 1 }}"}`)))
	})
	t.Run("expressions that nest too deeply are refused", func(t *testing.T) {
		t.Parallel()
		const want = "the expressions nest too deeply: use fewer operators, lists and macros inside each other"
		lists := strings.Repeat("[", 90) + "1" + strings.Repeat("]", 90)
		require.NoError(t, CheckCriteria("size("+lists+") == 1"))
		require.NoError(t, CheckCriteria("1"+strings.Repeat(" + 1", 100)+" > 0"))
		require.ErrorContains(t, CheckCriteria("size(["+repeat(8, same(lists))+"]) == 1"), want)
		require.ErrorContains(t, CheckParameters(json.RawMessage(`{"l":[`+repeat(8, same(`"{{`+lists+`}}"`))+`]}`)), want)
	})
}

// TestCompiled_EstimatesBoundTheMemory does not run in parallel: it measures the memory of the process.
func TestCompiled_EstimatesBoundTheMemory(t *testing.T) {
	const copies = 20
	language, err := newLanguage()
	require.NoError(t, err)
	compileSchema := func(raw string) (sized, Mistakes) { return newChecker(json.RawMessage(raw)) }
	compileTemplate := func(raw string) (sized, Mistakes) { return language.compileTemplate(json.RawMessage(raw)) }
	template := func(expression string) string { return `{"v":"{{ ` + expression + ` }}"}` }
	for source, compile := range map[string]func(string) (sized, Mistakes){
		`{"type":"string"}`: compileSchema,
		`{"anyOf":[` + repeat(200, same(`{"type":"string"}`)) + `]}`:                                                  compileSchema,
		`{"properties":{` + repeat(200, numbered(`"k#":{"items":{"enum":["a",1]}}`)) + `}}`:                           compileSchema,
		`{"patternProperties":{` + repeat(50, numbered(`"k#x{50}":{"pattern":"(a|b){50}"}`)) + `}}`:                   compileSchema,
		`{"properties":{"` + strings.Repeat("k", 2000) + `":{"anyOf":[` + repeat(100, same(`{"minimum":1}`)) + `]}}}`: compileSchema,
		template(`1`): compileTemplate,
		template(`[` + repeat(1500, same("1")) + `]`):                                               compileTemplate,
		template(`[` + repeat(500, same("[].map(x,x)")) + `]`):                                      compileTemplate,
		template(strings.Repeat("[", 90) + "1" + strings.Repeat("]", 90)):                           compileTemplate,
		template(strings.Repeat("[1].map(x,", 20) + "1" + strings.Repeat(")", 20)):                  compileTemplate,
		`{"l":[` + repeat(500, same(`"a {{ payload.a }} b"`)) + `,` + repeat(500, same(`1`)) + `]}`: compileTemplate,
	} {
		_, mistakes := compile(source) // the parser keeps what it learns about the grammar
		require.Empty(t, mistakes, source)
		kept := make([]sized, copies)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range kept {
			var mistakes Mistakes
			kept[i], mistakes = compile(source)
			require.Empty(t, mistakes, source)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		used := int64(after.HeapAlloc-before.HeapAlloc) / copies
		require.LessOrEqual(t, used, int64(kept[0].size()), attune.Shorten(source, 100))
		runtime.KeepAlive(kept)
	}
}

func TestStock(t *testing.T) {
	t.Parallel()
	s := newStock(3)
	take := func(schema string) *checker {
		c, mistakes := s.take(schema)
		require.Empty(t, mistakes)
		c.bytes = 1
		return c
	}
	first, second := take(`{}`), take(`{}`)
	require.NotSame(t, first, second, "a checker runs one check at a time")
	s.give(`{}`, first)
	s.give(`{}`, second)
	require.Same(t, second, take(`{}`))
	require.Same(t, first, take(`{}`))
	require.NotSame(t, first, take(`{}`))

	s.give(`{}`, first)
	for i := range 3 {
		s.give(fmt.Sprintf(`{"title":"%d"}`, i), &checker{bytes: 1})
	}
	require.Same(t, first, take(`{}`), "the older generation is in use")
	s.give(`{}`, first)
	for i := range 20 {
		s.give(fmt.Sprintf(`{"title":"%d"}`, i%2), &checker{bytes: 1})
		kept := 0
		for _, generation := range []map[string][]*checker{s.recent, s.older} {
			for _, idle := range generation {
				kept += len(idle)
			}
		}
		require.LessOrEqual(t, kept, 6)
	}
	require.NotSame(t, first, take(`{}`), "a checker that no check used is dropped")

	_, mistakes := s.take(`{"type":"x"}`)
	require.NotEmpty(t, mistakes)
}
