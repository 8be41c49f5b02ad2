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

// requireMistakes checks the message of a check's error; "" means no error.
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
		{"empty criteria are valid", ``, ``},
		{"a bool is valid", `payload.a == 1`, ``},
		{"a value of unknown type is valid", `payload.a`, ``},
		{"spaces are an empty expression", `  `, `the expression is empty`},
		{"an int is refused", `1 + 1`, `1:1: yields int, want bool`},
		{"a string is refused", `payload.a + "x"`, `1:1: yields string, want bool`},
		{"an unknown variable is refused", "payload.a == 1 &&\n  paylod.b == 2", `2:3: undeclared reference to 'paylod'`},
		{"an unknown field of the event is refused", `event.paylod.b == 2`, `1:6: undefined field 'paylod'`},
		{"an event has no id", `event.id == 2`, `1:6: undefined field 'id'`},
		{"an unknown function is refused", `payload.a.foo()`, `1:14: undeclared reference to 'foo'`},
		{"two mistakes are both reported", `foo == 1 || bar == 2`, `1:1: undeclared reference to 'foo'; 1:13: undeclared reference to 'bar'`},
		{"operands of different types are refused", `"a" + 1 == 2`, `1:5: found no matching overload for '+' applied to '(string, int)'`},
		{"an incomplete expression is refused", `payload.a ==`, `1:13: syntax error: the expression ends too early`},
		{"two expressions are refused", `payload.a payload.b`, `1:11: syntax error: unexpected 'payload'`},
		{"a large regular expression is refused", `payload.a.matches("` + strings.Repeat("x{900}", 20) + `")`,
			`the regular expression is too large: it compiles to more than 10000 instructions`},
		{"an invalid regular expression is refused", `payload.a.matches("(")`, `1:19: invalid matches argument`},
		{"an unclosed string is refused", `'x`, `1:1: syntax error: cannot read ''x'; 1:3: syntax error: the expression ends too early`},
		{"two dots are refused", `payload..a`, `1:9: syntax error: cannot read '..'`},
		{"an invalid pattern is refused", `payload.a.matches("(")`, `1:19: invalid matches argument`},
		{"an invalid duration is refused", `duration("3 days") > duration("1s")`, `1:10: invalid duration argument`},
		{"a long expression is refused", strings.Repeat("x", 10_001), `the expression has 10001 bytes: use at most 10000`},
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
		{"empty parameters are valid", ``, ``},
		{"templates in strings and lists are valid", `{"a": "{{ payload.x }}", "b": ["{{ 1 }} {{ 2 }}"]}`, ``},
		{"incomplete JSON is refused", `{`, `not valid JSON: it ends too early`},
		{"a string is not an object", `"{{ payload }}"`, `got a string, want a JSON object`},
		{"all mistakes are reported together", `{"b": ["{{ foo }}", "{{"], "a": "x {{ 1 + }} {{ bar }}", "{{ c }}": 1}`,
			`/a: 1:10: syntax error: the expression ends too early; /a: 1:16: undeclared reference to 'bar'; ` +
				`/b/0: 1:4: undeclared reference to 'foo'; ` +
				`/b/1: 1:1: "{{" without "}}"; to write two braces, write {{ "{{" }}; ` +
				`the key "{{ c }}" is not a template: only values can be`},
		{"an empty template is refused", `{"a/b": "{{ }}"}`, `/a~1b: 1:3: the expression is empty`},
		{"a mistake on the second line has its line and column", `{"a": "one\ntwo {{\n foo }}"}`, `/a: 3:2: undeclared reference to 'foo'`},
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
		{"an empty schema is valid", ``, ``},
		{"a reference to a definition is valid", `{"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}`, ``},
		{"an older draft is valid", `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {}}`, ``},
		{"a recursive schema is valid", `{"properties": {"child": {"$ref": "#"}}}`, ``},
		{"a schema of incomplete JSON is refused", `{`, `not valid JSON: it ends too early`},
		{"a number is refused", `3`, `got number, want boolean or object`},
		{"an unknown type is refused", `{"properties": {"a": {"type": "text"}}}`,
			`/properties/a/type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'`},
		{"a schema with an invalid pattern is refused", `{"properties": {"a": {"pattern": "("}}}`, "/properties/a/pattern: '(' is not valid regex: error parsing regexp: missing closing ): `(`"},
		{"two mistakes in a schema are both reported", `{"required": "a", "minProperties": -1}`, `/minProperties: minimum: got -1, want 0; /required: got string, want array`},
		{"a reference to nothing is refused", `{"$ref": "#/$defs/a"}`, `json-pointer in "#/$defs/a" not found`},
		{"a reference to a file is refused", `{"$ref": "file:///etc/hostname"}`, `"file:///etc/hostname" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"a reference to the network is refused", `{"$ref": "https://example.com/x"}`, `"https://example.com/x" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"a relative reference is refused", `{"$ref": "other"}`, `"https://attune.invalid/other" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"an unknown draft is refused", `{"$schema": "https://example.com/x"}`, `"https://example.com/x" cannot be loaded: a schema may refer only to itself and to the standard drafts`},
		{"a number out of range is refused", `{"maximum": 1e999999999}`, `/maximum: number 1e999999999 is out of range`},
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
		{"a template may have any value", `{"n": "{{ payload.n }}", "env": "{{ payload.e }}", "nested": "{{ payload.o }}", "list": ["{{ payload.x }}"]}`, ``},
		{"valid constants fit", `{"n": 5, "env": "test", "nested": {"k": 1}}`, ``},
		{"a missing member is reported", `{}`, `missing property 'n'`},
		{"empty parameters lack the required member", ``, `missing property 'n'`},
		{"members that are not allowed are reported", `{"n": 1, "m": "{{ payload.x }}", "l": 2}`, `additional properties 'l', 'm' not allowed`},
		{"invalid constants are reported", `{"n": 6, "env": "prod", "list": [1, "{{ payload.x }}"]}`, `/env: value must be one of 'live', 'test'; /list/0: got number, want string; /n: maximum: got 6, want 5`},
		{"a text for a number is reported", `{"n": "five"}`, `/n: got string, want integer`},
		{"mistakes in nested objects are reported", `{"n": 1, "nested": {"j": "{{ 1 }}"}}`, `/nested: additional properties 'j' not allowed; /nested: missing property 'k'`},
		{"a choice between schemas is not checked", `{"n": 1, "either": "x"}`, ``},
		{"a conditional schema is not checked", `{"n": 1, "env": "live"}`, ``},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckFit(json.RawMessage(tt.parameters), json.RawMessage(schema)))
		})
	}

	t.Run("invalid parameters and schemas are not reported", func(t *testing.T) {
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
