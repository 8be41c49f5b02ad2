package rules

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// nest returns the JSON of a value inside nested objects with the same key.
func nest(levels int, value string) string {
	return strings.Repeat(`{"x":`, levels) + value + strings.Repeat(`}`, levels)
}

// branching returns schemas that apply two references to themselves to each member: 2^depth references to the innermost member.
func branching() map[string]string {
	draft := func(draft, definitions string) string {
		return fmt.Sprintf(`{"$schema": %q, %q: {"n": {"properties": {"x": {"allOf": [{"$ref": "#/%s/n"}, {"$ref": "#/%s/n"}]}}}},
			"properties": {"x": {"$ref": "#/%s/n"}}}`, draft, definitions, definitions, definitions, definitions)
	}
	twice := func(keyword string) string {
		return `{"$defs": {"n": {"properties": {"x": {` + keyword + `}}}}, "$ref": "#/$defs/n"}`
	}
	const ref = `{"$ref": "#/$defs/n"}`
	return map[string]string{
		"draft 4": draft("http://json-schema.org/draft-04/schema#", "definitions"),
		"draft 6": draft("http://json-schema.org/draft-06/schema#", "definitions"),
		"draft 7": draft("http://json-schema.org/draft-07/schema#", "definitions"),
		"allOf":   twice(`"allOf": [` + ref + `,` + ref + `]`),
		"oneOf":   twice(`"oneOf": [` + ref + `,` + ref + `]`),
		"anyOf":   twice(`"anyOf": [{"allOf": [` + ref + `, {"type": "null"}]}, {"allOf": [` + ref + `, {"type": "null"}]}]`),
		"not":     twice(`"allOf": [{"not": ` + ref + `}, {"not": ` + ref + `}]`),
		"if":      twice(`"if": ` + ref + `, "then": ` + ref + `, "else": ` + ref),
		"dependentSchemas": `{"$defs": {"n": {"dependentSchemas": {"x": {"properties": {"x": ` + ref + `}}}, "properties": {"x": ` +
			ref + `}}}, "$ref": "#/$defs/n"}`,
		"patternProperties": `{"$defs": {"n": {"patternProperties": {"x": ` + ref + `, "^x": ` + ref + `}}}, "$ref": "#/$defs/n"}`,
		"dynamicRef":        `{"$dynamicAnchor": "n", "properties": {"x": {"allOf": [{"$dynamicRef": "#n"}, {"$dynamicRef": "#n"}]}}}`,
		"recursiveRef": `{"$schema": "https://json-schema.org/draft/2019-09/schema", "$recursiveAnchor": true,
			"properties": {"x": {"allOf": [{"$recursiveRef": "#"}, {"$recursiveRef": "#"}]}}}`,
		"an unreferenced dynamic anchor": `{"$id": "https://example.com/outer", "$ref": "inner", "$defs": {
			"outer": {"$dynamicAnchor": "n", "properties": {"x": {"allOf": [{"$dynamicRef": "inner#n"}, {"$dynamicRef": "inner#n"}]}}},
			"inner": {"$id": "inner", "$dynamicRef": "#n", "$defs": {"n": {"$dynamicAnchor": "n"}}}}}`,
	}
}

func TestChecker_StopsInASchemaThatBranches(t *testing.T) {
	t.Parallel()
	for name, schema := range branching() {
		t.Run(name+" stops at the limit", func(t *testing.T) {
			t.Parallel()
			c, mistakes := newChecker(json.RawMessage(schema))
			require.Empty(t, mistakes)
			require.NoError(t, c.check(map[string]any{"y": int64(1)}, nil))
			value, mistakes := decode(json.RawMessage(nest(90, "1")))
			require.Empty(t, mistakes)
			for _, part := range []*jsonschema.Schema{c.negated, c.original} {
				_, err := c.run(part, value, maxSchemaSteps/50, &listing{most: maxReported})
				require.Equal(t, errSchemaSteps, err)
			}
		})
	}
}

func TestEngine_CheckEvent_SchemaThatBranches(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine()
	require.NoError(t, err)
	schema := json.RawMessage(branching()["allOf"])
	require.NoError(t, CheckSchema(schema))
	err = engine.CheckEvent(attune.Trigger{Ref: "demo.event", Schema: schema}, json.RawMessage(nest(90, "1")))
	require.EqualError(t, err, `payload of trigger "demo.event": the check against the schema takes more than 1000000 steps: `+
		`send a smaller value, or simplify the schema`)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))

	_, err = engine.Manual(attune.Action{Ref: "demo.action", Schema: schema}, json.RawMessage(nest(90, "1")))
	require.ErrorContains(t, err, "takes more than 1000000 steps")
}

func TestEngine_Decide_SchemaThatBranchesRejectsTheRule(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine()
	require.NoError(t, err)
	candidate := attune.Candidate{
		Rule:   attune.Rule{Ref: "demo.rule", Parameters: json.RawMessage(`{"x": "{{ payload }}"}`)},
		Action: attune.Action{Ref: "demo.action", Schema: json.RawMessage(branching()["allOf"])},
	}
	got := engine.Decide(t.Context(), attune.Event{Payload: json.RawMessage(nest(80, "1"))}, []attune.Candidate{candidate})
	require.Len(t, got, 1)
	require.Equal(t, attune.ReasonParametersInvalid, got[0].Reason)
	require.Contains(t, got[0].Detail, "takes more than 1000000 steps")
}

// A schema with one reference to itself for each part of a value stays within the steps.
func TestEngine_CheckEvent_SchemaThatRefersToItself(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine()
	require.NoError(t, err)
	trigger := attune.Trigger{Ref: "demo.event", Schema: json.RawMessage(`{"$defs": {"n": {"anyOf": [
		{"type": "object", "additionalProperties": {"$ref": "#/$defs/n"}}, {"type": "array", "items": {"$ref": "#/$defs/n"}},
		{"type": "integer"}]}}, "additionalProperties": {"$ref": "#/$defs/n"}}`)}
	items := strings.TrimSuffix(strings.Repeat(nest(3, "[1,2]")+",", 1000), ",")
	require.NoError(t, engine.CheckEvent(trigger, json.RawMessage(`{"list": [`+items+`], "deep": `+nest(90, "1")+`}`)))
	err = engine.CheckEvent(trigger, json.RawMessage(`{"list": [`+items+`], "deep": `+nest(60, `"text"`)+`}`))
	require.ErrorContains(t, err, "/deep"+strings.Repeat("/x", 60)+": got string")
}

// largest returns payloads at the size limit, with schemas that are applied to all of their parts.
func largest() map[string]struct{ schema, payload, want string } {
	numbers := `{"p":[` + strings.TrimSuffix(strings.Repeat("0,", attune.MaxPayloadBytes/2-20), ",") + `]}`
	text := `{"p":"` + strings.Repeat("x", attune.MaxPayloadBytes-20) + `"}`
	of := func(keywords string) string { return `{"properties": {"p": {` + keywords + `}}}` }
	var values []string
	for i := range 1000 {
		values = append(values, fmt.Sprint(i+1))
	}
	enum := `"enum": [` + strings.Join(values, ",") + `]`
	const steps = "takes more than 1000000 steps"
	return map[string]struct{ schema, payload, want string }{
		"every element fits":   {of(`"items": {"type": "integer"}`), numbers, ""},
		"no element fits":      {of(`"items": {"type": "string"}`), numbers, "/p/0: got number, want string; /p/1: got number"},
		"the last does not":    {of(`"items": {"type": "integer"}`), strings.TrimSuffix(numbers, `0]}`) + `""]}`, "got string, want integer"},
		"none of several fits": {of(`"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}`), numbers, steps},
		"a long enum":          {of(`"items": {` + enum + `}`), numbers, steps},
		"a long enum, referred to": {
			`{"$defs": {"e": {` + enum + `}}, "properties": {"p": {"items": {"$ref": "#/$defs/e"}}}}`, numbers, steps,
		},
		"unique elements": {of(`"uniqueItems": true, "items": {"type": "integer"}`), numbers, "/p: items at 0 and 1 are equal"},
		"a text":          {of(`"pattern": "^(x|y)*$", "minLength": 5`), text, ""},
		"a hard pattern":  {of(`"pattern": "^(x{1,30}){1,30}y$"`), text, steps},
		"a regular expression": {of(`"format": "regex"`), strings.ReplaceAll(text, "xxxxxxxx", "x{1,999}"),
			"x{1,999}"},
		"deep and wrong everywhere": {`{"$defs": {"n": {"anyOf": [{"properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["y"]},
			{"properties": {"x": {"$ref": "#/$defs/n"}}, "required": ["z"]}]}}, "$ref": "#/$defs/n"}`, nest(90, "{}"),
			"the value violates the schema in more places than can be listed"},
	}
}

// TestEngine_CheckEvent_LargestPayloads does not run in parallel: it measures the memory of the process.
func TestEngine_CheckEvent_LargestPayloads(t *testing.T) {
	engine, err := NewEngine()
	require.NoError(t, err)
	for name, tt := range largest() {
		require.LessOrEqual(t, len(tt.payload), attune.MaxPayloadBytes+200, name)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		err := engine.CheckEvent(attune.Trigger{Ref: "demo.event", Schema: json.RawMessage(tt.schema)}, json.RawMessage(tt.payload))
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, uint64(400<<20), name)
		if tt.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, tt.want, name)
		require.Less(t, len(err.Error()), 2*maxDetailBytes, name)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), name)
	}
}

func TestEngine_CheckEvent_Concurrently(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine()
	require.NoError(t, err)
	trigger := attune.Trigger{Ref: "demo.event", Schema: json.RawMessage(branching()["allOf"])}
	var wg sync.WaitGroup
	mistakes := make([]int, 8)
	for i := range mistakes {
		wg.Go(func() {
			for range 10 {
				if engine.CheckEvent(trigger, json.RawMessage(nest(8, "1"))) != nil {
					mistakes[i]++
				}
				if engine.CheckEvent(trigger, json.RawMessage(`{"x": {"x": 1}}`)) != nil {
					mistakes[i]++
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, make([]int, 8), mistakes, "a check counts its own steps only")
}
