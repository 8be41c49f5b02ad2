package rules

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/heap"
)

// mostHeap bounds the heap that one evaluation adds, in bytes. It includes garbage: with the default settings of the collector as
// much as what is in use.
const mostHeap = 160 << 20

// requireBoundedCheck checks a payload against a schema. It requires that the memory is bounded, and returns its peak. The engine
// is new: the garbage that the collector leaves grows with everything that the process keeps.
func requireBoundedCheck(t *testing.T, name string, w worst) (peak uint64) {
	t.Helper()
	engine := &Engine{schemas: newStock(cacheBytes), markings: newCache[*marking](cacheBytes)}
	var err error
	peak = heap.Peak(func() {
		err = engine.CheckEvent(attune.Trigger{Ref: "demo.event", Schema: json.RawMessage(w.schema)}, json.RawMessage(w.payload))
	})
	require.LessOrEqual(t, peak, uint64(mostHeap), name)
	if err != nil {
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err), name)
		require.LessOrEqual(t, len(err.Error()), 2*maxDetailBytes, name)
	}
	return peak
}

// TestEngine_CheckEvent_MemoryIsBounded does not run in parallel: it measures the memory of the process.
func TestEngine_CheckEvent_MemoryIsBounded(t *testing.T) {
	most := uint64(0)
	for name, w := range worstSchemas() {
		require.LessOrEqual(t, len(w.payload), attune.MaxPayloadBytes, name)
		require.NoError(t, CheckSchema(json.RawMessage(w.schema)), name)
		most = max(most, requireBoundedCheck(t, name, w))
	}
	t.Logf("measured: at most %d MiB of heap for one check", most>>20)
}

// TestEngine_CheckEvent_MemoryIsBoundedForAnySchema draws schemas that branch. It does not run in parallel: it measures the memory
// of the process.
//
// Short: 20 schemas. Long: 1000.
func TestEngine_CheckEvent_MemoryIsBoundedForAnySchema(t *testing.T) {
	schemas := 20
	if os.Getenv("ATTUNE_TEST_SOAK") != "" {
		schemas = 1000
	}
	most := uint64(0)
	for i := range schemas {
		w := worst{schema: recursiveSchema(genKeywords(2).Example(i)), payload: genPayload().Example(i)}
		require.NoError(t, CheckSchema(json.RawMessage(w.schema)), w.schema)
		most = max(most, requireBoundedCheck(t, w.schema+" with "+attune.Shorten(w.payload, 100), w))
	}
	t.Logf("measured: at most %d MiB of heap for one of %d drawn schemas", most>>20, schemas)
}

// genKeywords draws the keywords of a schema. "@" refers to the outermost keywords.
func genKeywords(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		wrong := rapid.SampledFrom([]string{
			`"required":["q"]`, `"type":"string"`, `"minItems":9`, `"maxLength":0`, `"enum":[[],1]`, `"not":{}`, `"maxProperties":0`,
		}).Draw(t, "wrong")
		if depth == 0 {
			return wrong
		}
		inner := func() string {
			if rapid.Bool().Draw(t, "recursive") {
				return "@"
			}
			return `{` + genKeywords(depth-1).Draw(t, "inner") + `}`
		}
		list := func() string {
			return repeat(rapid.IntRange(2, 6).Draw(t, "alternatives"), func(int) string { return inner() })
		}
		keywords := map[string]func() string{
			`"anyOf":[%s]`: list, `"oneOf":[%s]`: list, `"allOf":[%s]`: list, `"properties":{"a":%s}`: inner, `"items":%s`: inner,
			`"additionalProperties":%s`: inner, `"patternProperties":{"^a":%s}`: inner, `"propertyNames":%s`: inner, `"contains":%s`: inner,
			`"dependentSchemas":{"a":%s}`: inner, `"if":%s,"else":{"minItems":9}`: inner, `"unevaluatedProperties":%s`: inner,
			`"unevaluatedItems":%s`: inner, `"not":%s`: inner,
		}
		drawn := rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(keywords))), 1, 3, rapid.ID).Draw(t, "keywords")
		for i, keyword := range drawn {
			drawn[i] = fmt.Sprintf(keyword, keywords[keyword]())
		}
		return strings.Join(append(drawn, wrong), ",")
	})
}

// genPayload draws the shape of a payload at a bound of the size or of the depth.
func genPayload() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		levels := rapid.IntRange(1, 90).Draw(t, "levels")
		return rapid.SampledFrom([]string{
			inside(levels), listOf("0"), listOf(inside(min(levels, 9))), listOf("[[],[]]"), listOf(`{"a":0}`), keysWith("0"), keysWith("[0]"),
			`{"a":` + strings.Repeat("[", levels) + repeat(1000, same("[]")) + strings.Repeat("]", levels) + `}`,
		}).Draw(t, "payload")
	})
}

// TestEngine_Decide_MemoryIsBounded does not run in parallel: it measures the memory of the process. The rules of one event share
// the memory for parameters.
func TestEngine_Decide_MemoryIsBounded(t *testing.T) {
	engine, err := NewEngine()
	require.NoError(t, err)
	event := attune.Event{Trigger: "demo.event", Payload: json.RawMessage(listOf(`{"":0}`))}
	schema := json.RawMessage(`{"properties":{"v":{"properties":{"p":{"items":{"required":["b"]}}}}}}`)
	most := uint64(0)
	for _, expression := range worstExpressions() {
		parameters, err := json.Marshal(map[string]string{"v": "{{ " + expression + " }}"})
		require.NoError(t, err)
		candidate := attune.Candidate{
			Rule: attune.Rule{Ref: "demo.rule", Parameters: parameters}, Action: attune.Action{Ref: "demo.action", Schema: schema},
		}
		var decided []attune.Decision
		peak := heap.Peak(func() { decided = engine.Decide(t.Context(), event, []attune.Candidate{candidate, candidate}) })
		require.LessOrEqual(t, peak, uint64(mostHeap), expression)
		require.Len(t, decided, 2, expression)
		most = max(most, peak)
	}
	t.Logf("measured: at most %d MiB of heap for the decisions about one event", most>>20)
}

func TestEngine_Decide_RulesOfOneEventShareTheMemoryForParameters(t *testing.T) {
	t.Parallel()
	engine, err := NewEngine()
	require.NoError(t, err)
	event := attune.Event{Trigger: "demo.event", Payload: json.RawMessage(`{"a":"` + strings.Repeat("x", attune.MaxPayloadBytes-100) + `"}`)}
	large := attune.Candidate{Rule: attune.Rule{Ref: "demo.large", Parameters: json.RawMessage(`{"v": "{{ payload.a }}"}`)}}
	small := attune.Candidate{Rule: attune.Rule{Ref: "demo.small", Parameters: json.RawMessage(`{"v": 1}`)}}

	candidates := append(slices.Repeat([]attune.Candidate{large}, 17), small, large)
	decided := engine.Decide(t.Context(), event, candidates)
	require.Len(t, decided, len(candidates))
	for i, decision := range decided {
		if i < 16 || i == 17 {
			require.Equal(t, attune.EnforcementCreated, decision.Status, "%d: %s", i, decision.Detail)
			continue
		}
		require.Equal(t, attune.ReasonParametersInvalid, decision.Reason, i)
		require.Equal(t, `rule "demo.large", parameters: the rules of this event make more than 8 MiB of parameters`, decision.Detail)
		require.JSONEq(t, `{}`, string(decision.Parameters))
	}
}

// TestEngine_Key_MemoryIsBounded does not run in parallel: it measures the memory of the process.
func TestEngine_Key_MemoryIsBounded(t *testing.T) {
	engine, err := NewEngine()
	require.NoError(t, err)
	event := attune.Event{Trigger: "demo.event", Payload: json.RawMessage(listOf(`{"":0}`))}
	most := uint64(0)
	for _, expression := range worstExpressions() {
		key := "dyn(" + strings.ReplaceAll(expression, "payload", "parameters") + ")"
		require.NoError(t, CheckKey(key), key)
		candidate := attune.Candidate{
			Rule:   attune.Rule{Ref: "demo.rule", Parameters: json.RawMessage(`{"p": "{{ payload.p }}"}`)},
			Action: attune.Action{Ref: "demo.action"}, Key: &key,
		}
		var decided []attune.Decision
		peak := heap.Peak(func() { decided = engine.Decide(t.Context(), event, []attune.Candidate{candidate, candidate}) })
		require.LessOrEqual(t, peak, uint64(mostHeap), key)
		require.Len(t, decided, 2, key)
		require.NotEqual(t, attune.ReasonParametersInvalid, decided[0].Reason, decided[0].Detail)
		most = max(most, peak)
	}
	t.Logf("measured: at most %d MiB of heap for the decisions with a key about one event", most>>20)
}
