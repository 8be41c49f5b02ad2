package rules_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// values is a payload with a value of every kind.
const values = `{
	"text": "a\"b<c>", "yes": true, "none": null, "int": 42, "max": 9223372036854775807, "min": -9223372036854775808,
	"beyond": 9007199254740993, "unsigned": 18446744073709551615, "half": 0.5, "whole": 2.0, "big": 1e21, "small": 1e-7, "zero": -0,
	"list": [1, "two", [3]], "object": {"b": 1, "a": {"c": null}}
}`

func TestEngine_Templates(t *testing.T) {
	t.Parallel()
	engine := setup(t)

	tests := []struct{ name, parameters, want string }{
		{"nothing", ``, `{}`},
		{"no templates", `{"b": [1, true, null, "x", {}, []], "a": "}}"}`, `{"a":"}}","b":[1,true,null,"x",{},[]]}`},
		{"constant numbers stay as written", `{"n": 123456789012345678901234567890, "f": 1.10}`, `{"f":1.10,"n":123456789012345678901234567890}`},

		{"string", `{"v": "{{ payload.text }}"}`, `{"v":"a\"b<c>"}`},
		{"bool", `{"v": "{{ payload.yes }}"}`, `{"v":true}`},
		{"null", `{"v": "{{ payload.none }}"}`, `{"v":null}`},
		{"int", `{"v": "{{ payload.int }}"}`, `{"v":42}`},
		{"largest int", `{"v": "{{ payload.max }}"}`, `{"v":9223372036854775807}`},
		{"smallest int", `{"v": "{{ payload.min }}"}`, `{"v":-9223372036854775808}`},
		{"int beyond 2^53", `{"v": "{{ payload.beyond }}"}`, `{"v":9007199254740993}`},
		{"int beyond 2^53 in sums", `{"v": "{{ payload.beyond + 2 }}"}`, `{"v":9007199254740995}`},
		{"unsigned", `{"v": "{{ payload.unsigned }}"}`, `{"v":18446744073709551615}`},
		{"double", `{"v": "{{ payload.half }}"}`, `{"v":0.5}`},
		{"double without fraction", `{"v": "{{ payload.whole }}"}`, `{"v":2}`},
		{"negative zero", `{"v": "{{ payload.zero }}"}`, `{"v":-0}`},
		{"large double", `{"v": "{{ payload.big }}"}`, `{"v":1e+21}`},
		{"small double", `{"v": "{{ payload.small }}"}`, `{"v":1e-7}`},
		{"list", `{"v": "{{ payload.list }}"}`, `{"v":[1,"two",[3]]}`},
		{"object", `{"v": "{{ payload.object }}"}`, `{"v":{"a":{"c":null},"b":1}}`},
		{"event", `{"v": "{{ event }}"}`, `{"v":{"payload":` + compactValues + `,"received_at":"2030-04-05T06:07:08.009Z","source":"webhook","trigger":"demo.push"}}`},
		{"bytes", `{"v": "{{ b'\\xff\\x00' }}", "t": "<{{ b'ab' }}>"}`, `{"t":"<YWI=>","v":"/wA="}`},
		{"timestamp", `{"v": "{{ event.received_at }}", "t": "at {{ event.received_at }}"}`, `{"t":"at 2030-04-05T06:07:08.009Z","v":"2030-04-05T06:07:08.009Z"}`},
		{"U+0000", `{"v": "{{ '\\u0000' }}", "t": "x{{ '\\u0000' }}"}`, `{"t":"x\u0000","v":"\u0000"}`},
		{"duration", `{"v": "{{ duration('1m30s') }}", "t": "for {{ duration('1.5s') }}"}`, `{"t":"for 1.5s","v":"90s"}`},
		{"keys that are no strings", `{"v": "{{ {1: 'a', true: 'b', 3u: 'c'} }}"}`, `{"v":{"1":"a","3":"c","true":"b"}}`},

		{"in a text", `{"v": "{{ payload.text }}/{{ payload.int }}/{{ payload.half }}/{{ payload.yes }}/{{ payload.none }}"}`, `{"v":"a\"b<c>/42/0.5/true/null"}`},
		{"lists and objects in a text", `{"v": "{{ payload.list }} {{ payload.object }}"}`, `{"v":"[1,\"two\",[3]] {\"a\":{\"c\":null},\"b\":1}"}`},
		{"a space makes it a text", `{"v": " {{ payload.int }}"}`, `{"v":" 42"}`},
		{"one behind the other", `{"v": "{{payload.int}}{{payload.int}}"}`, `{"v":"4242"}`},
		{"at any depth", `{"a": [{"b": ["{{ payload.int }}"]}]}`, `{"a":[{"b":[42]}]}`},

		{"empty optional leaves out its key", `{"a": 1, "b": "{{ payload.?nope }}", "c": "{{ payload.?int }}"}`, `{"a":1,"c":42}`},
		{"empty optional as first and only key", `{"a": {"b": "{{ payload.?nope }}"}, "c": 1}`, `{"a":{},"c":1}`},
		{"empty optional in a list", `{"v": ["{{ payload.?nope }}", 1, "{{ payload.?object.?x }}", 2]}`, `{"v":[1,2]}`},
		{"empty optional in a text", `{"v": "<{{ payload.?nope }}>"}`, `{"v":"<>"}`},
		{"optional with a default", `{"v": "{{ payload.?nope.orValue('x') }}"}`, `{"v":"x"}`},
		{"optional inside a value", `{"v": "{{ [payload.?nope, payload.?int] }}"}`, `{"v":[null,42]}`},

		{"braces in strings and maps", `{"v": "{{ \"}}\" + '{{' }}", "w": "{{ {'a': {'b': 1}} }}", "x": "{{{'a':{'b':1}}}}"}`, `{"v":"}}{{","w":{"a":{"b":1}},"x":{"a":{"b":1}}}`},
		{"literal braces", `{"v": "use {{ \"{{\" }} x }}"}`, `{"v":"use {{ x }}"}`},
		{"raw strings and names that look like prefixes", `{"v": "{{ r'\\' + [1].map(r, 'a\\'}}')[0] }}"}`, `{"v":"\\a'}}"}`},
		{"triple quotes", `{"v": "{{ '''it's }}''' }}"}`, `{"v":"it's }}"}`},
		{"a comment", `{"v": "{{ payload.int // the answer }}", "w": "{{ 1 + // one\n 2 }}"}`, `{"v":42,"w":3}`},
		{"several lines", `{"v": "{{\n  payload.int\n}}"}`, `{"v":42}`},
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

// compactValues is values the way templates write it: sorted keys, no spaces, shortest numbers.
const compactValues = `{"beyond":9007199254740993,"big":1e+21,"half":0.5,"int":42,"list":[1,"two",[3]],` +
	`"max":9223372036854775807,"min":-9223372036854775808,"none":null,"object":{"a":{"c":null},"b":1},"small":1e-7,` +
	`"text":"a\"b<c>","unsigned":18446744073709551615,"whole":2,"yes":true,"zero":-0}`

func TestEngine_TemplatesThatFail(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	big := `{"text": "` + strings.Repeat("x", 300_000) + `"}`
	doubling := `cel.bind(a, [payload, payload], cel.bind(b, [a, a, a, a], cel.bind(c, [b, b, b, b], [c, c, c, c])))`

	tests := []struct{ name, payload, parameters, want string }{
		{"missing key", values, `{"a": {"b": ["x", "{{ payload.nope }}"]}}`, `/a/b/1: 1:11: no such key "nope": test has(payload.nope) first`},
		{"missing key on the second line", values, `{"a": "x\n  {{ 1 +\n payload.nope }}"}`, `/a: 3:9: no such key "nope": test has(payload.nope) first`},
		{"missing key after text", values, `{"a": "ä {{ payload.nope }}"}`, `/a: 1:13: no such key "nope": test has(payload.nope) first`},
		{"a type", values, `{"a": "{{ type(1) }}"}`, `/a: 1:3: a type has no JSON form`},
		{"infinity", values, `{"a": "{{ 1.0 / 0.0 }}"}`, `/a: 1:3: the number +Inf has no JSON form`},
		{"infinity in a text", values, `{"a": "x{{ 1.0 / 0.0 }}"}`, `/a: 1:4: in a text: the number +Inf has no JSON form`},
		{"keys that collide", values, `{"a": "{{ {1: 'x', '1': 'y'} }}"}`, `/a: 1:3: the key "1" has two values`},
		{"too many steps", values, `{"a": "{{ lists.range(1000000).map(x, x * x) }}"}`, `/a: 1:3: the rule needs more than 1000000 steps for this event`},
		{"too large together", big, `{"a": "{{ payload.text }}", "b": "{{ payload.text }}"}`, `/b: 1:3: the result has more than 524288 bytes`},
		{"too large in a text", big, `{"a": "{{ payload.text }} {{ payload.text }}"}`, `/a: the result has more than 524288 bytes`},
		{"too large by repeating itself", `{"text": "` + strings.Repeat("x", 30_000) + `"}`, `{"a": "{{ ` + doubling + ` }}"}`, `/a: 1:3: the result has more than 524288 bytes`},
		{"a text that would be too large", big, `{"a": "{{ payload.text.replace('x', payload.text) }}"}`,
			`/a: 1:24: the result could have 90000000000 bytes, more than 1048576, in payload.text.replace("x", payload.text)`},
		{"a pattern that is too large", `{"text": "` + strings.Repeat("x{1000}", 100) + `"}`, `{"a": "{{ 'x'.matches(payload.text) }}"}`,
			`/a: 1:15: the regular expression compiles to more than 10000 instructions in "x".matches(payload.text)`},
		{"a message", values, `{"a": "{{ google.protobuf.Struct{fields: payload} }}"}`, `/a: 1:3: a message cannot be made: use a map`},
		{"never closed", values, `{"a": "{{ payload.int"}`, `/a: 1:1: "{{" without "}}"; to write two braces, write {{ "{{" }}`},
		{"not an object", values, `[]`, `got a list, want a JSON object`},
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
