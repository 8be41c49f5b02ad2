package rules_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// genJSON draws any JSON value.
func genJSON(depth int) *rapid.Generator[any] {
	text := rapid.String()
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil), rapid.Bool().AsAny(), text.AsAny(),
		rapid.Int64().AsAny(), rapid.Uint64().AsAny(),
		rapid.Float64().AsAny(),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(scalars,
		rapid.SliceOfN(genJSON(depth-1), 0, 4).AsAny(),
		rapid.MapOfN(text, genJSON(depth-1), 0, 4).AsAny(),
	)...)
}

func TestEngine_WholeTemplateKeepsItsValue(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	rapid.Check(t, func(t *rapid.T) {
		value, err := json.Marshal(genJSON(3).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		event := push(`{"v": ` + string(value) + `}`)
		got := engine.Decide(t.Context(), event, []attune.Candidate{rule(`true`, `{"v": "{{ payload.v }}", "list": ["{{ event.payload.v }}"]}`)})
		if len(got) != 1 || got[0].Status != attune.EnforcementCreated {
			t.Fatalf("decided %+v", got)
		}
		want := `{"list":[` + string(value) + `],"v":` + string(value) + `}`
		if diff := cmp.Diff(numbers(t, want), numbers(t, string(got[0].Parameters))); diff != "" {
			t.Fatal(diff)
		}
	})
}

// numbers decodes JSON and keeps every number as text, so that a comparison sees every digit.
func numbers(t *rapid.T, text string) any {
	decoder := json.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		t.Fatal(err)
	}
	return value
}

func TestEngine_TextOutsideTemplatesIsUnchanged(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	plain := rapid.StringMatching(`[a-z {}"'\\/\n]{0,12}`).Filter(func(s string) bool { return !bytes.Contains([]byte(s+"{"), []byte("{{")) })
	rapid.Check(t, func(t *rapid.T) {
		before, after := plain.Draw(t, "before"), plain.Draw(t, "after")
		parameters, err := json.Marshal(map[string]string{"v": before + `{{ "<" + payload.s + ">" }}` + after + "."})
		if err != nil {
			t.Fatal(err)
		}
		got := engine.Decide(t.Context(), push(`{"s": "é"}`), []attune.Candidate{rule("", string(parameters))})
		want := map[string]any{"v": before + "<é>" + after + "."}
		if len(got) != 1 || got[0].Detail != "" {
			t.Fatalf("decided %+v", got)
		}
		if diff := cmp.Diff(want, numbers(t, string(got[0].Parameters))); diff != "" {
			t.Fatal(diff)
		}
	})
}

// FuzzEngine_Decide decides with any criteria, template and payload. Every decision must be valid JSON and UTF-8. Parameters that
// a check refuses must not be accepted at run time.
func FuzzEngine_Decide(f *testing.F) {
	f.Add(`payload.a == 1`, `{{ payload.a }}`, `{"a": 1}`)
	f.Add(`has(payload.a.b)`, `x {{ {"a": "}}"} }} {{`, `{"a": {"b": [1e400]}}`)
	f.Add(`payload.all(k, k == 'a')`, `{{ payload.?a.?b }}`, `{"a": null}`)
	f.Add(`event.received_at - duration("1h") < timestamp(payload.at)`, `{{ b'\xff' }}{{ r"\" }}`, `{"at": "x"}`)
	f.Add(`"%s %d".format([payload.a, 1]) == 'x'`, `{{ payload.a.split('')[1] }}`, `{"a": "\ud83d\ude00"}`)
	f.Add(`payload.a.matches(payload.a)`, `{{ // }}`, `{"a": "(((((("}`)
	f.Add(`optional.none()`, `{{ {payload.a: 1, dyn(1): 2} }}`, `{"a": "1"}`)
	f.Add(`regex.extract(payload.a, '(x)').hasValue()`, `{{ lists.range(3).map(i, i * 1.5) }}`, `{"a": "x"}`)
	engine := setup(f)
	f.Fuzz(func(t *testing.T, criteria, text, payload string) {
		parameters, err := json.Marshal(map[string]any{"v": text, "list": []any{text, map[string]any{"x": text}}})
		if err != nil {
			t.Skip()
		}
		checked := rules.CheckParameters(parameters)
		if err := rules.CheckCriteria(criteria); err == nil {
			_ = engine.CheckEvent(attune.Trigger{}, json.RawMessage(payload))
		}
		candidates := []attune.Candidate{rule(criteria, ""), rule("", string(parameters))}
		for _, d := range engine.Decide(t.Context(), push(payload), candidates) {
			if !json.Valid(d.Parameters) || !utf8.ValidString(d.Detail) || (d.Status == attune.EnforcementCreated) != (d.Detail == "") {
				t.Fatalf("decided %+v", d)
			}
			if checked != nil && d.Status == attune.EnforcementCreated && len(d.Parameters) > 2 {
				t.Fatalf("refused at load (%v) and accepted at run time: %s", checked, d.Parameters)
			}
		}
	})
}
