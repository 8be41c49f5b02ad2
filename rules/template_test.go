package rules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// values is a payload with a value of every type.
const values = `{
	"text": "a\"b<c>", "yes": true, "none": null, "int": 42, "max": 9223372036854775807, "min": -9223372036854775808,
	"beyond": 9007199254740993, "unsigned": 18446744073709551615, "half": 0.5, "whole": 2.0, "big": 1e21, "small": 1e-7, "zero": -0,
	"list": [1, "two", [3]], "object": {"b": 1, "a": {"c": null}}
}`

func TestEngine_Templates(t *testing.T) {
	t.Parallel()
	engine := setup(t)

	tests := []struct{ name, parameters, want string }{
		{"empty parameters are an empty object", ``, `{}`},
		{"constants stay unchanged", `{"b": [1, true, null, "x", {}, []], "a": "}}"}`, `{"a":"}}","b":[1,true,null,"x",{},[]]}`},
		{"constant numbers keep their digits", `{"n": 123456789012345678901234567890, "f": 1.10}`, `{"f":1.10,"n":123456789012345678901234567890}`},

		{"a string keeps its type", `{"v": "{{ payload.text }}"}`, `{"v":"a\"b<c>"}`},
		{"a bool keeps its type", `{"v": "{{ payload.yes }}"}`, `{"v":true}`},
		{"null keeps its type", `{"v": "{{ payload.none }}"}`, `{"v":null}`},
		{"an int keeps its type", `{"v": "{{ payload.int }}"}`, `{"v":42}`},
		{"the largest int keeps its digits", `{"v": "{{ payload.max }}"}`, `{"v":9223372036854775807}`},
		{"the smallest int keeps its digits", `{"v": "{{ payload.min }}"}`, `{"v":-9223372036854775808}`},
		{"an int beyond 2^53 keeps its digits", `{"v": "{{ payload.beyond }}"}`, `{"v":9007199254740993}`},
		{"a sum beyond 2^53 keeps its digits", `{"v": "{{ payload.beyond + 2 }}"}`, `{"v":9007199254740995}`},
		{"an unsigned int keeps its digits", `{"v": "{{ payload.unsigned }}"}`, `{"v":18446744073709551615}`},
		{"a double keeps its fraction", `{"v": "{{ payload.half }}"}`, `{"v":0.5}`},
		{"a whole double has no fraction", `{"v": "{{ payload.whole }}"}`, `{"v":2}`},
		{"negative zero keeps its sign", `{"v": "{{ payload.zero }}"}`, `{"v":-0}`},
		{"a large double has an exponent", `{"v": "{{ payload.big }}"}`, `{"v":1e+21}`},
		{"a small double has an exponent", `{"v": "{{ payload.small }}"}`, `{"v":1e-7}`},
		{"a list stays a list", `{"v": "{{ payload.list }}"}`, `{"v":[1,"two",[3]]}`},
		{"an object has sorted keys", `{"v": "{{ payload.object }}"}`, `{"v":{"a":{"c":null},"b":1}}`},
		{"the event is an object", `{"v": "{{ event }}"}`, `{"v":{"payload":` + compactValues + `,"received_at":"2030-04-05T06:07:08.009Z","source":"webhook","trigger":"demo.push"}}`},
		{"bytes become base64", `{"v": "{{ b'\\xff\\x00' }}", "t": "<{{ b'ab' }}>"}`, `{"t":"<YWI=>","v":"/wA="}`},
		{"a timestamp becomes RFC 3339 text", `{"v": "{{ event.received_at }}", "t": "at {{ event.received_at }}"}`, `{"t":"at 2030-04-05T06:07:08.009Z","v":"2030-04-05T06:07:08.009Z"}`},
		{"U+0000 is escaped", `{"v": "{{ '\\u0000' }}", "t": "x{{ '\\u0000' }}"}`, `{"t":"x\u0000","v":"\u0000"}`},
		{"a duration becomes seconds", `{"v": "{{ duration('1m30s') }}", "t": "for {{ duration('1.5s') }}"}`, `{"t":"for 1.5s","v":"90s"}`},
		{"keys become strings", `{"v": "{{ {1: 'a', true: 'b', 3u: 'c'} }}"}`, `{"v":{"1":"a","3":"c","true":"b"}}`},

		{"values become text in a text", `{"v": "{{ payload.text }}/{{ payload.int }}/{{ payload.half }}/{{ payload.yes }}/{{ payload.none }}"}`, `{"v":"a\"b<c>/42/0.5/true/null"}`},
		{"lists and objects become JSON in a text", `{"v": "{{ payload.list }} {{ payload.object }}"}`, `{"v":"[1,\"two\",[3]] {\"a\":{\"c\":null},\"b\":1}"}`},
		{"a space around a template makes a text", `{"v": " {{ payload.int }}"}`, `{"v":" 42"}`},
		{"two templates make a text", `{"v": "{{payload.int}}{{payload.int}}"}`, `{"v":"4242"}`},
		{"templates work at any depth", `{"a": [{"b": ["{{ payload.int }}"]}]}`, `{"a":[{"b":[42]}]}`},

		{"an empty optional omits its key", `{"a": 1, "b": "{{ payload.?nope }}", "c": "{{ payload.?int }}"}`, `{"a":1,"c":42}`},
		{"an empty optional omits the only key", `{"a": {"b": "{{ payload.?nope }}"}, "c": 1}`, `{"a":{},"c":1}`},
		{"an empty optional omits the list element", `{"v": ["{{ payload.?nope }}", 1, "{{ payload.?object.?x }}", 2]}`, `{"v":[1,2]}`},
		{"an empty optional is empty in a text", `{"v": "<{{ payload.?nope }}>"}`, `{"v":"<>"}`},
		{"a default replaces an empty optional", `{"v": "{{ payload.?nope.orValue('x') }}"}`, `{"v":"x"}`},
		{"an empty optional inside a value is null", `{"v": "{{ [payload.?nope, payload.?int] }}"}`, `{"v":[null,42]}`},

		{"braces in strings and maps do not end a template", `{"v": "{{ \"}}\" + '{{' }}", "w": "{{ {'a': {'b': 1}} }}", "x": "{{{'a':{'b':1}}}}"}`, `{"v":"}}{{","w":{"a":{"b":1}},"x":{"a":{"b":1}}}`},
		{"a template can yield braces", `{"v": "use {{ \"{{\" }} x }}"}`, `{"v":"use {{ x }}"}`},
		{"a raw string has no escapes", `{"v": "{{ r'\\' + [1].map(r, 'a\\'}}')[0] }}"}`, `{"v":"\\a'}}"}`},
		{"a string can have triple quotes", `{"v": "{{ '''it's }}''' }}"}`, `{"v":"it's }}"}`},
		{"a template may have a comment", `{"v": "{{ payload.int // the answer }}", "w": "{{ 1 + // one\n 2 }}"}`, `{"v":42,"w":3}`},
		{"a template may have several lines", `{"v": "{{\n  payload.int\n}}"}`, `{"v":42}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := engine.Decide(t.Context(), push(values), []attune.Candidate{rule("", tt.parameters)})
			require.Len(t, got, 1)
			require.Empty(t, got[0].Detail)
			require.Equal(t, tt.want, string(got[0].Parameters))
		})
	}
}

// compactValues is the text of values as templates write it: sorted keys, no spaces, shortest numbers.
const compactValues = `{"beyond":9007199254740993,"big":1e+21,"half":0.5,"int":42,"list":[1,"two",[3]],` +
	`"max":9223372036854775807,"min":-9223372036854775808,"none":null,"object":{"a":{"c":null},"b":1},"small":1e-7,` +
	`"text":"a\"b<c>","unsigned":18446744073709551615,"whole":2,"yes":true,"zero":-0}`

func TestEngine_TemplatesThatFail(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	big := `{"text": "` + strings.Repeat("x", 300_000) + `"}`
	doubling := `cel.bind(a, [payload, payload], cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], [c, c, c, c])))`

	tests := []struct{ name, payload, parameters, want string }{
		{"a missing key is refused", values, `{"a": {"b": ["x", "{{ payload.nope }}"]}}`, `/a/b/1: 1:11: no such key "nope": test has(payload.nope) first`},
		{"a missing key on the second line has its line", values, `{"a": "x\n  {{ 1 +\n payload.nope }}"}`, `/a: 3:9: no such key "nope": test has(payload.nope) first`},
		{"a missing key after text has its column", values, `{"a": "ä {{ payload.nope }}"}`, `/a: 1:13: no such key "nope": test has(payload.nope) first`},
		{"a type has no JSON form", values, `{"a": "{{ type(1) }}"}`, `/a: 1:3: a type has no JSON form`},
		{"infinity has no JSON form", values, `{"a": "{{ 1.0 / 0.0 }}"}`, `/a: 1:3: the number +Inf has no JSON form`},
		{"infinity in a text has no JSON form", values, `{"a": "x{{ 1.0 / 0.0 }}"}`, `/a: 1:4: in a text: the number +Inf has no JSON form`},
		{"equal keys are refused", values, `{"a": "{{ {1: 'x', '1': 'y'} }}"}`, `/a: 1:3: the key "1" has two values`},
		{"a template with many steps is refused", values, `{"a": "{{ lists.range(1000000).map(x, x * x) }}"}`, `/a: 1:3: the rule needs more than 1000000 steps for this event`},
		{"two values above the limit together are refused", big, `{"a": "{{ payload.text }}", "b": "{{ payload.text }}"}`, `/b: 1:3: the result has more than 524288 bytes`},
		{"a large text is refused", big, `{"a": "{{ payload.text }} {{ payload.text }}"}`, `/a: the result has more than 524288 bytes`},
		{"a value with many repetitions is refused", `{"text": "` + strings.Repeat("x", 30_000) + `"}`, `{"a": "{{ ` + doubling + ` }}"}`, `/a: 1:3: the result has more than 524288 bytes`},
		{"a call with a large result is refused before it is made", big, `{"a": "{{ payload.text.replace('x', payload.text) }}"}`,
			`/a: 1:24: the result could have 90000000000 bytes, more than 1048576, in payload.text.replace("x", payload.text)`},
		{"a large pattern is refused", `{"text": "` + strings.Repeat("x{1000}", 100) + `"}`, `{"a": "{{ 'x'.matches(payload.text) }}"}`,
			`/a: 1:15: the regular expression compiles to more than 10000 instructions in "x".matches(payload.text)`},
		{"a protobuf message is refused", values, `{"a": "{{ google.protobuf.Struct{fields: payload} }}"}`, `/a: 1:3: a message cannot be made: use a map`},
		{"an unclosed template is refused", values, `{"a": "{{ payload.int"}`, `/a: 1:1: "{{" without "}}"; to write two braces, write {{ "{{" }}`},
		{"a payload that is a list is refused", values, `[]`, `got a list, want a JSON object`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := engine.Decide(t.Context(), push(tt.payload), []attune.Candidate{rule("", tt.parameters)})
			require.Len(t, got, 1)
			require.Equal(t, attune.EnforcementRejected, got[0].Status)
			require.Equal(t, attune.ReasonParametersInvalid, got[0].Reason)
			require.Equal(t, `rule "demo.rule", parameters: `+tt.want, got[0].Detail)
			require.JSONEq(t, `{}`, string(got[0].Parameters))
		})
	}
}
