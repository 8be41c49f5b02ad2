package rules

import (
	"fmt"
	"strings"

	"github.com/attune-go/attune"
)

// worst is a schema of a trigger with a payload. Together they ask for as much memory or time as possible.
type worst struct{ schema, payload string }

// repeat returns n texts with a separator.
func repeat(n int, text func(i int) string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = text(i)
	}
	return strings.Join(texts, ",")
}

func same(text string) func(int) string { return func(int) string { return text } }

func numbered(format string) func(int) string {
	return func(i int) string { return strings.ReplaceAll(format, "#", fmt.Sprint(i)) }
}

// listOf returns a payload at the size limit: a list p of items.
func listOf(item string) string {
	return `{"p":[` + repeat((attune.MaxPayloadBytes-20)/(len(item)+1), same(item)) + `]}`
}

// keysWith returns a payload with as many keys as the size limit allows.
func keysWith(value string) string {
	const longest = len(`"12345":,`)
	return `{` + repeat(attune.MaxPayloadBytes/(longest+len(value)), numbered(`"#":`+value)) + `}`
}

// inside returns a payload of nested objects with the key a.
func inside(levels int) string {
	return strings.Repeat(`{"a":`, levels) + `{}` + strings.Repeat(`}`, levels)
}

// recursiveSchema returns a schema with a definition n, which the keywords refer to.
func recursiveSchema(keywords string) string {
	return strings.ReplaceAll(`{"$defs":{"n":{`+keywords+`}},"$ref":"#/$defs/n"}`, "@", `{"$ref":"#/$defs/n"}`)
}

// chained returns a schema whose list p is under n definitions that refer to each other.
func chained(n int, last, list string) string {
	links := repeat(n, func(i int) string { return fmt.Sprintf(`"n%d":{"$ref":"#/$defs/n%d"}`, i, i+1) })
	return fmt.Sprintf(`{"$defs":{%s,"n%d":%s},"properties":{"p":%s}}`, links, n, last, list)
}

func listSchema(keywords string) string { return `{"properties":{"p":{` + keywords + `}}}` }

// worstSchemas returns schemas of every keyword that applies schemas, collects mistakes or compares values.
func worstSchemas() map[string]worst {
	alternatives := func(n int, schema string) string { return `"anyOf":[` + repeat(n, numbered(schema)) + `]` }
	return map[string]worst{
		"anyOf at every level": {recursiveSchema(alternatives(2, `{"properties":{"a":@},"required":["y#"]}`)), inside(90)},
		"a wide anyOf":         {recursiveSchema(alternatives(10, `{"properties":{"a":@},"required":["y#"]}`)), inside(90)},
		"a wide anyOf, shallow": {
			recursiveSchema(alternatives(10, `{"properties":{"a":@},"required":["y#"]}`)), inside(4),
		},
		"one deep alternative of many": {
			recursiveSchema(`"anyOf":[` + repeat(900, numbered(`{"required":["y#"]}`)) + `,{"properties":{"a":@},"required":["z"]}]`), inside(90),
		},
		"alternatives about members": {
			recursiveSchema(`"anyOf":[` + repeat(900, numbered(`{"properties":{"a":{"required":["y#"]}}}`)) +
				`,{"properties":{"a":@},"required":["z"]}]`), inside(90),
		},
		"oneOf":             {recursiveSchema(`"oneOf":[` + repeat(4, numbered(`{"properties":{"a":@},"required":["y#"]}`)) + `]`), inside(8)},
		"allOf":             {recursiveSchema(`"properties":{"a":{"allOf":[@,@,@,@]}},"required":["q"]`), inside(8)},
		"if, then and else": {recursiveSchema(`"if":{"properties":{"a":@}},"then":{"required":["q"]},"else":{"properties":{"a":@}}`), inside(20)},
		"not":               {recursiveSchema(`"not":{"properties":{"a":{"not":@}}},"properties":{"a":@}`), inside(30)},
		"dependentSchemas": {
			recursiveSchema(`"dependentSchemas":{"a":{"properties":{"a":@}}},"properties":{"a":@},"required":["z"]`), inside(12),
		},
		"alternatives for a list":    {listSchema(alternatives(3, `{"items":{"type":"string"}}`)), listOf("0")},
		"elements of another type":   {listSchema(`"items":{"type":"string"}`), listOf("0")},
		"elements that are refused":  {listSchema(`"items":false`), listOf("0")},
		"alternatives with contains": {listSchema(alternatives(3, `{"contains":{"type":"string"}}`)), listOf("0")},
		"unique numbers":             {listSchema(`"uniqueItems":true`), `{"p":[` + repeat(60_000, numbered("#")) + `]}`},
		"unique objects":             {listSchema(`"uniqueItems":true`), `{"p":[` + repeat(30_000, numbered(`{"a":#}`)) + `]}`},
		"enums":                      {listSchema(`"items":{` + alternatives(5, `{"enum":["a","b",#]}`) + `}`), listOf(`"x"`)},
		"many required names":        {listSchema(`"items":{"required":[` + repeat(2000, numbered(`"r#"`)) + `]}`), listOf("{}")},
		"objects in a list":          {listSchema(`"items":{"required":["b"]}`), listOf(`{"":0}`)},
		"propertyNames":              {`{` + alternatives(8, `{"propertyNames":{"maxLength":0}}`) + `}`, keysWith("0")},
		"propertyNames inside each other": {
			strings.Repeat(`{"propertyNames":{"maxLength":0},"allOf":[`, 8) + `{}` + strings.Repeat(`]}`, 8), keysWith("0"),
		},
		"dependencies of many members": {
			`{` + alternatives(9, `{"dependentRequired":{`+repeat(900, func(i int) string { return fmt.Sprintf(`"%d":["z"]`, i) })+`}}`) + `}`, keysWith("0"),
		},
		"alternatives for names": {`{"propertyNames":{` + alternatives(10, `{"maxLength":0}`) + `}}`, keysWith("0")},
		"patternProperties":      {`{` + alternatives(4, `{"patternProperties":{"":{"type":"string"}}}`) + `}`, keysWith("0")},
		"additionalProperties":   {`{` + alternatives(8, `{"additionalProperties":false}`) + `}`, keysWith("0")},
		"unevaluatedProperties":  {`{` + alternatives(6, `{"unevaluatedProperties":false}`) + `}`, keysWith("0")},
		"unevaluatedItems under references": {
			chained(300, `{"prefixItems":[{}]}`, `{"unevaluatedItems":false,"$ref":"#/$defs/n0"}`), listOf("0"),
		},
		"references inside each other": {
			chained(20, `{"items":{"$ref":"#/$defs/n0"}}`, `{"$ref":"#/$defs/n0"}`), `{"p":` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}`,
		},
		"references in a long row": {
			chained(1500, `{"items":{"$ref":"#/$defs/n0"}}`, `{"$ref":"#/$defs/n0"}`), `{"p":` + strings.Repeat("[", 90) + strings.Repeat("]", 90) + `}`,
		},
		"a reference cycle for every element": {chained(30, `{"$ref":"#/$defs/n0"}`, `{"items":{"$ref":"#/$defs/n0"}}`), listOf("0")},
		"a schema as payload":                 {listSchema(`"items":{"$ref":"https://json-schema.org/draft/2020-12/schema"}`), listOf(`{"a":{"b":1}}`)},
	}
}

// worstExpressions returns expressions whose results or steps are at their bounds, for a payload with a list p of objects.
func worstExpressions() []string {
	return []string{
		`payload`, `payload.p`, `[payload, payload, payload]`, `payload.p.map(x, [x, x, x])`, `payload.p.map(x, payload)`,
		`payload.p.map(x, payload.p.filter(y, false))`, `payload.p.map(x, string(x[""]))`, `payload.p.map(x, "%s".format([payload.p]))`,
		`string(b"0123456789".size()).replace("1", "x")`, `payload.p.map(x, base64.encode(b"0123456789"))`,
		`cel.bind(a, payload.p + payload.p, cel.bind(b, a + a, cel.bind(c, b + b, c + c)))`, `payload.p.exists(x, payload == payload && false)`,
	}
}
