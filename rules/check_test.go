package rules_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// requireMistakes compares an error of a check with what it must say; "" is no error.
func requireMistakes(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	require.EqualError(t, err, want)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

func TestCheckCriteria(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, criteria, want string }{
		{"empty", ``, ``},
		{"bool", `payload.a == 1`, ``},
		{"can be a bool", `payload.a`, ``},
		{"spaces", `  `, `the expression is empty`},
		{"int", `1 + 1`, `1:1: yields int, want bool`},
		{"string", `payload.a + "x"`, `1:1: yields string, want bool`},
		{"unknown variable", "payload.a == 1 &&\n  paylod.b == 2", `2:3: undeclared reference to 'paylod'`},
		{"unknown field of the event", `event.paylod.b == 2`, `1:6: undefined field 'paylod'`},
		{"no id before the event is stored", `event.id == 2`, `1:6: undefined field 'id'`},
		{"unknown function", `payload.a.foo()`, `1:14: undeclared reference to 'foo'`},
		{"two mistakes", `foo == 1 || bar == 2`, `1:1: undeclared reference to 'foo'; 1:13: undeclared reference to 'bar'`},
		{"wrong types", `"a" + 1 == 2`, `1:5: found no matching overload for '+' applied to '(string, int)'`},
		{"half an expression", `payload.a ==`, `1:13: syntax error: the expression ends too early`},
		{"two expressions", `payload.a payload.b`, `1:11: syntax error: unexpected 'payload'`},
		{"a regular expression that is too large", `payload.a.matches("` + strings.Repeat("x{900}", 20) + `")`,
			`the regular expression is too large: it compiles to more than 10000 instructions`},
		{"a regular expression that is none", `payload.a.matches("(")`, `1:19: invalid matches argument`},
		{"open string", `'x`, `1:1: syntax error: cannot read ''x'; 1:3: syntax error: the expression ends too early`},
		{"two dots", `payload..a`, `1:9: syntax error: cannot read '..'`},
		{"bad pattern", `payload.a.matches("(")`, `1:19: invalid matches argument`},
		{"bad duration", `duration("3 days") > duration("1s")`, `1:10: invalid duration argument`},
		{"too long", strings.Repeat("x", 10_001), `the expression has 10001 bytes: use at most 10000`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckCriteria(tt.criteria))
		})
	}
}

func TestCheckParameters(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, parameters, want string }{
		{"none", ``, ``},
		{"right", `{"a": "{{ payload.x }}", "b": ["{{ 1 }} {{ 2 }}"]}`, ``},
		{"not JSON", `{`, `not valid JSON: it ends too early`},
		{"not an object", `"{{ payload }}"`, `got a string, want a JSON object`},
		{"all mistakes at once", `{"b": ["{{ foo }}", "{{"], "a": "x {{ 1 + }} {{ bar }}", "{{ c }}": 1}`,
			`/a: 1:10: syntax error: the expression ends too early; /a: 1:16: undeclared reference to 'bar'; ` +
				`/b/0: 1:4: undeclared reference to 'foo'; ` +
				`/b/1: 1:1: "{{" without "}}"; to write two braces, write {{ "{{" }}; ` +
				`the key "{{ c }}" is not a template: only values can be`},
		{"empty template", `{"a/b": "{{ }}"}`, `/a~1b: 1:3: the expression is empty`},
		{"second line", `{"a": "one\ntwo {{\n foo }}"}`, `/a: 3:2: undeclared reference to 'foo'`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckParameters(json.RawMessage(tt.parameters)))
		})
	}
}

func TestCheckSchema(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, schema, want string }{
		{"none", ``, ``},
		{"right", `{"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}`, ``},
		{"older draft", `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {}}`, ``},
		{"recursive", `{"properties": {"child": {"$ref": "#"}}}`, ``},
		{"not JSON", `{`, `not valid JSON: it ends too early`},
		{"a number", `3`, `got number, want boolean or object`},
		{"unknown type", `{"properties": {"a": {"type": "text"}}}`,
			`/properties/a/type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'`},
		{"bad pattern", `{"properties": {"a": {"pattern": "("}}}`, "/properties/a/pattern: '(' is not valid regex: error parsing regexp: missing closing ): `(`"},
		{"two mistakes", `{"required": "a", "minProperties": -1}`, `/minProperties: minimum: got -1, want 0; /required: got string, want array`},
		{"reference to nothing", `{"$ref": "#/$defs/a"}`, `json-pointer in "#/$defs/a" not found`},
		{"reference to a file", `{"$ref": "file:///etc/hostname"}`, `"file:///etc/hostname" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"reference to the network", `{"$ref": "https://example.com/x"}`, `"https://example.com/x" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"relative reference", `{"$ref": "other"}`, `"https://attune.invalid/other" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"unknown draft", `{"$schema": "https://example.com/x"}`, `"https://example.com/x" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"number out of range", `{"maximum": 1e999999999}`, `/maximum: number 1e999999999 is out of range`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckSchema(json.RawMessage(tt.schema)))
		})
	}
}

func TestCheckFit(t *testing.T) {
	t.Parallel()
	const schema = `{
		"type": "object",
		"properties": {
			"n": {"type": "integer", "maximum": 5}, "env": {"enum": ["live", "test"]},
			"nested": {"$ref": "#/$defs/nested"}, "list": {"type": "array", "items": {"type": "string"}, "minItems": 1},
			"either": {"anyOf": [{"type": "integer"}, {"required": ["x"]}]}
		},
		"$defs": {"nested": {"type": "object", "required": ["k"], "additionalProperties": false, "properties": {"k": {}}}},
		"required": ["n"], "additionalProperties": false,
		"if": {"properties": {"env": {"const": "live"}}}, "then": {"required": ["list"]}
	}`
	tests := []struct{ name, parameters, want string }{
		{"templates may become anything", `{"n": "{{ payload.n }}", "env": "{{ payload.e }}", "nested": "{{ payload.o }}", "list": ["{{ payload.x }}"]}`, ``},
		{"right constants", `{"n": 5, "env": "test", "nested": {"k": 1}}`, ``},
		{"missing", `{}`, `missing property 'n'`},
		{"none", ``, `missing property 'n'`},
		{"not allowed", `{"n": 1, "m": "{{ payload.x }}", "l": 2}`, `additional properties 'l', 'm' not allowed`},
		{"wrong constants", `{"n": 6, "env": "prod", "list": [1, "{{ payload.x }}"]}`, `/env: value must be one of 'live', 'test'; /list/0: got number, want string; /n: maximum: got 6, want 5`},
		{"text for a number", `{"n": "five"}`, `/n: got string, want integer`},
		{"nested", `{"n": 1, "nested": {"j": "{{ 1 }}"}}`, `/nested: additional properties 'j' not allowed; /nested: missing property 'k'`},
		{"choices are left to the event", `{"n": 1, "either": "x"}`, ``},
		{"conditions are left to the event", `{"n": 1, "env": "live"}`, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckFit(json.RawMessage(tt.parameters), json.RawMessage(schema)))
		})
	}

	t.Run("what is wrong in itself is not reported twice", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, rules.CheckFit(json.RawMessage(`{}`), nil))
		require.NoError(t, rules.CheckFit(json.RawMessage(`{`), json.RawMessage(`{}`)))
		require.NoError(t, rules.CheckFit(json.RawMessage(`{}`), json.RawMessage(`{"type": "x"}`)))
	})
}

func TestCheckError(t *testing.T) {
	t.Parallel()
	err := rules.CheckParameters(json.RawMessage(`{"a": [{"b": "x {{ foo }}"}]}`))
	found, ok := errors.AsType[*rules.CheckError](err)
	require.True(t, ok)
	require.Empty(t, cmp.Diff(rules.Mistakes{{
		Path: []string{"a", "0", "b"}, Line: 1, Column: 6, Message: "undeclared reference to 'foo'",
	}}, found.Mistakes))
}
