package rules_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

func setup(t testing.TB) *rules.Engine {
	t.Helper()
	engine, err := rules.NewEngine()
	require.NoError(t, err)
	return engine
}

// push returns an event of a webhook.
func push(payload string) attune.Event {
	return attune.Event{
		Trigger: "demo.push", Source: attune.SourceWebhook, Payload: json.RawMessage(payload),
		ReceivedAt: time.Date(2030, 4, 5, 6, 7, 8, 9_000_000, time.UTC),
	}
}

const payload = `{
	"ref": "refs/heads/main", "after": "abc7", "deleted": false, "size": 3, "ratio": 0.25,
	"repository": {"full_name": "acme/site", "id": 9007199254740993},
	"commits": [{"id": "a", "labels": ["urgent"]}, {"id": "b", "labels": []}],
	"nothing": null, "odd key": 1
}`

func rule(criteria, parameters string) attune.Candidate {
	return attune.Candidate{
		Rule:   attune.Rule{ID: 7, Ref: "demo.rule", Criteria: criteria, Parameters: json.RawMessage(parameters)},
		Action: attune.Action{ID: 9, Ref: "demo.action"},
	}
}

func TestEngine_Criteria(t *testing.T) {
	t.Parallel()
	engine := setup(t)

	tests := []struct {
		criteria string
		want     any // true, false, or the detail of a rejection
	}{
		{``, true},
		{`true`, true},
		{`payload.ref == "refs/heads/main"`, true},
		{`event.payload.ref == "refs/heads/main"`, true},
		{`payload.ref.startsWith("refs/tags/")`, false},
		{`payload.deleted`, false},
		{`event.trigger == "demo.push" && event.source == "webhook"`, true},
		{`event.received_at > timestamp("2030-01-01T00:00:00Z")`, true},
		{`event.received_at.getFullYear() == 2030`, true},
		{`has(payload.head_commit)`, false},
		{`has(payload.nothing) && payload.nothing == null`, true},
		{`payload.?pull_request.?draft.orValue(false)`, false},
		{`payload.commits.exists(c, "urgent" in c.labels)`, true},
		{`payload.commits.all(c, size(c.labels) == 0)`, false},
		{`payload.ref.split("/")[2] == "main"`, true},
		{`payload.ref.matches("^refs/heads/[a-z]+$")`, true},
		{`payload["odd key"] == 1`, true},
		{`payload.size > 2.5 && payload.ratio < 1 && payload.size == 3.0`, true},
		{`payload.repository.id == 9007199254740993`, true},
		{`payload.repository.id == 9007199254740992`, false},
		{`sets.contains(payload.commits.map(c, c.id), ["b"])`, true},
		{`math.greatest(payload.size, 10) == 10`, true},
		{`cel.bind(r, payload.repository, r.full_name == "acme/site" && r.id > 0)`, true},
		{`base64.encode(b"x") == "eA=="`, true},
		// CEL's "or" ignores an error of the other operand.
		{`payload.nope == 1 || true`, true},

		{`payload.nope == 1`,
			`rule "demo.rule", criteria: 1:8: no such key "nope": test has(payload.nope) first`},
		{`payload.repository.owner.login == "x"`,
			`rule "demo.rule", criteria: 1:25: no such key "owner": test has(payload.repository.owner) first`},
		{`has(payload.nope.deeper)`,
			`rule "demo.rule", criteria: 1:4: no such key "nope": test has(payload.nope) first`},
		{`payload["no key"] == 1`,
			`rule "demo.rule", criteria: 1:8: no such key "no key": test "no key" in payload first`},
		{`payload.commits.exists(c, c.author == "x")`,
			`rule "demo.rule", criteria: 1:28: no such key "author": test has(c.author) first`},
		{"payload.size == 3 &&\n  payload.commits[5].id == 'x'",
			`rule "demo.rule", criteria: 2:21: index out of bounds: 5 in payload.commits[5].id`},
		{`payload.ref > 3`,
			`rule "demo.rule", criteria: 1:13: the types of the values do not fit payload.ref > 3: convert with int(), double() or string()`},
		{`int(payload.ref) == 1`,
			`rule "demo.rule", criteria: 1:4: type conversion error from 'string' to 'int' in int(payload.ref)`},
		{`payload.size / 0 == 1`, `rule "demo.rule", criteria: 1:14: division by zero in payload.size / 0`},
		{`payload.size`, `rule "demo.rule", criteria: yields int, want bool`},
		{`payload.?deleted`, `rule "demo.rule", criteria: 1:1: yields optional_type(dyn), want bool`},
		{`payload.ref ==`, `rule "demo.rule", criteria: 1:15: syntax error: the expression ends too early`},
	}
	for _, tt := range tests {
		t.Run(tt.criteria, func(t *testing.T) {
			t.Parallel()
			got := engine.Decide(t.Context(), push(payload), []attune.Candidate{rule(tt.criteria, "")})

			want := []attune.Decision{{
				RuleID: 7, ActionID: 9, Parameters: json.RawMessage("{}"), Status: attune.EnforcementCreated, Queue: "demo.action",
			}}
			switch detail, rejected := tt.want.(string); {
			case rejected:
				want[0].Queue = ""
				want[0].Status, want[0].Reason, want[0].Detail = attune.EnforcementRejected, attune.ReasonCriteriaFailed, detail
			case tt.want == false:
				want = nil
			}
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}

func TestEngine_Decide_EachRuleOnItsOwn(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	candidates := []attune.Candidate{
		rule(`true`, `{"a": "{{ payload.ref }}"}`), rule(`false`, ""), rule(`payload.nope`, ""),
		rule("", `{"a": "{{ payload.nope }}"}`), rule("", `{"a": 1}`),
	}
	for i := range candidates {
		candidates[i].Rule.ID, candidates[i].Action.ID = attune.RuleID(i), attune.ActionID(10+i)
	}

	var got []string
	for _, d := range engine.Decide(t.Context(), push(payload), candidates) {
		got = append(got, fmt.Sprintf("%d %d %s %s %s", d.RuleID, d.ActionID, d.Status, d.Reason, d.Parameters))
	}
	require.Equal(t, []string{
		`0 10 created  {"a":"refs/heads/main"}`,
		`2 12 rejected criteria_failed {}`,
		`3 13 rejected parameters_invalid {}`,
		`4 14 created  {"a":1}`,
	}, got)
}

func TestEngine_Decide_ParametersMustFitTheSchema(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	candidate := rule("", `{"env": "{{ payload.ref }}", "n": "{{ payload.ratio }}", "extra": true}`)
	candidate.Action.Schema = json.RawMessage(`{
		"properties": {"env": {"enum": ["live", "test"]}, "n": {"type": "integer"}, "who": {}},
		"required": ["who"], "additionalProperties": false
	}`)
	require.Empty(t, cmp.Diff([]attune.Decision{{
		RuleID: 7, ActionID: 9, Status: attune.EnforcementRejected, Reason: attune.ReasonParametersInvalid,
		Parameters: json.RawMessage(`{"env":"refs/heads/main","extra":true,"n":0.25}`),
		Detail: `rule "demo.rule", parameters of action "demo.action": additional properties 'extra' not allowed; ` +
			`missing property 'who'; /env: value must be one of 'live', 'test'; /n: got number, want integer`,
	}}, engine.Decide(t.Context(), push(payload), []attune.Candidate{candidate})))
}

func TestEngine_Decide_PayloadIsNoObject(t *testing.T) {
	t.Parallel()
	got := setup(t).Decide(t.Context(), push(`[1]`), []attune.Candidate{rule("", "")})
	require.Len(t, got, 1)
	require.Equal(t, attune.ReasonCriteriaFailed, got[0].Reason)
	require.Equal(t, `rule "demo.rule", criteria: got a list, want a JSON object`, got[0].Detail)
}

func TestEngine_Decide_CostIsBounded(t *testing.T) {
	t.Parallel()
	numbers := strings.Repeat("1,", 2000) + "1"
	const loops = `payload.n.all(a, payload.n.all(b, payload.n.all(c, a + b + c > 0)))`
	got := setup(t).Decide(t.Context(), push(`{"n": [`+numbers+`]}`), []attune.Candidate{rule(loops, "")})
	require.Len(t, got, 1)
	require.Equal(t, `rule "demo.rule", criteria: the rule needs more than 1000000 steps for this event`, got[0].Detail)
}

func TestEngine_Decide_AllExpressionsOfARuleShareItsSteps(t *testing.T) {
	t.Parallel()
	const loop = `lists.range(30000).all(x, x >= 0)` // about 200 000 steps
	event, template := push(`{}`), `"{{ `+loop+` }}"`
	engine := setup(t)
	few := rule(loop, `{"a": `+template+`}`)
	many := rule(loop, `{"a": [`+strings.TrimSuffix(strings.Repeat(template+`, `, 10), ", ")+`]}`)

	got := engine.Decide(t.Context(), event, []attune.Candidate{many, few, few})
	require.Len(t, got, 3)
	require.Equal(t, attune.ReasonParametersInvalid, got[0].Reason)
	require.Contains(t, got[0].Detail, "the rule needs more than 1000000 steps for this event")
	require.Equal(t, attune.EnforcementCreated, got[1].Status, got[1].Detail)
	require.Equal(t, attune.EnforcementCreated, got[2].Status, "another rule has its own steps: %s", got[2].Detail)
}

func TestEngine_Decide_ListsOfUsualSize(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 2000 {
		names = append(names, fmt.Sprintf(`{"name": "person %d", "team": "team %d"}`, i, i%50))
	}
	event := push(`{"people": [` + strings.Join(names, ",") + `]}`)
	engine := setup(t)
	for _, expression := range []string{
		`size(payload.people.map(p, p.name).distinct()) == 2000`, `size(payload.people.map(p, p.team).distinct()) == 50`,
		`payload.people.sortBy(p, p.name)[0].name == "person 0"`, `payload.people.map(p, p.name).sort()[1] == "person 1"`,
		`payload.people.filter(p, p.name.matches("^person 1[0-9]*$")).size() == 1111`,
		`payload.people.map(p, p.name + p.team).join(", ").size() > 30000`, `payload.people.exists(p, p.name == "person 1999")`,
		`payload.people.all(p, p.team in ["team 1", "team 2"]) == false`, `"person 7" in payload.people.map(p, p.name)`,
		`payload.people.map(p, "%s: %s".format([p.name, p.team])).size() == 2000`, `(payload.people + payload.people).size() == 4000`,
		`payload.people.map(p, regex.replace(p.name, "[0-9]+", "n")).distinct() == ["person n"]`,
		`payload.people.map(p, p.name).hasAll(["person 3"])`, `payload.people.map(p, [p, p]).flatten().size() == 4000`,
	} {
		got := engine.Decide(t.Context(), event, []attune.Candidate{rule(expression, "")})
		require.Len(t, got, 1, expression)
		require.Equal(t, attune.EnforcementCreated, got[0].Status, "%s: %s", expression, got[0].Detail)
	}
}

func TestEngine_Decide_DetailCanBeStored(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("ä", 5000)
	got := setup(t).Decide(t.Context(), push(`{"k": "`+key+`"}`), []attune.Candidate{rule(`payload[payload.k] == 1`, ""), rule(`payload["\u0000"] == 1`, "")})
	require.Len(t, got, 2)
	require.LessOrEqual(t, len(got[0].Detail), 1000)
	require.True(t, strings.HasSuffix(got[0].Detail, "ä…"))
	require.NotContains(t, got[1].Detail, "\x00")
}

func TestEngine_Decide_Concurrently(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	var wg sync.WaitGroup
	answers := make([]string, 8)
	for i := range answers {
		wg.Go(func() {
			for n := range 50 {
				candidate := rule(fmt.Sprintf(`payload.size == 3 && %d >= 0`, n), `{"a": "{{ payload.commits[0].id }}"}`)
				candidate.Action.Schema = json.RawMessage(`{"required": ["a"]}`)
				for _, d := range engine.Decide(t.Context(), push(payload), []attune.Candidate{candidate}) {
					answers[i] += string(d.Parameters)
				}
			}
		})
	}
	wg.Wait()
	for _, answer := range answers {
		require.Equal(t, strings.Repeat(`{"a":"a"}`, 50), answer)
	}
}

func TestEngine_Manual(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	action := attune.Action{ID: 9, Ref: "demo.action", Schema: json.RawMessage(`{"properties": {"n": {"type": "integer", "maximum": 5}}}`)}

	got, err := engine.Manual(action, json.RawMessage(`{"n": 5, "text": "{{ stays as it is }}"}`))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(attune.Decision{
		ActionID: 9, Status: attune.EnforcementCreated, Parameters: json.RawMessage(`{"n": 5, "text": "{{ stays as it is }}"}`),
		Queue: "demo.action",
	}, got))

	got, err = engine.Manual(action, nil)
	require.NoError(t, err)
	require.JSONEq(t, `{}`, string(got.Parameters))

	_, err = engine.Manual(action, json.RawMessage(`{"n": 6}`))
	require.EqualError(t, err, `parameters of action "demo.action": /n: maximum: got 6, want 5`)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

func TestEngine_CheckEvent(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	schema := `{"properties": {"ref": {"type": "string"}, "home": {"format": "uri"}, "at": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 3}]}}, "required": ["ref"]}`
	deep := strings.Repeat("[", 200) + strings.Repeat("]", 200)

	tests := []struct{ name, payload, want string }{
		{"a payload that fits is accepted", `{"ref": "x", "home": "https://example.com", "more": [1], "at": 5}`, ""},
		{"every escape is accepted", `{"ref": "\ud83d\ude00 \\u0000 \u0000"}`, ""},
		{"unpaired surrogates are accepted", `{"ref": "\ud83d x \ude00"}`, ""},
		{"an underflow becomes zero", `{"ref": "x", "n": 1e-999999999}`, ""},
		{"an empty payload is refused", ``, `not valid JSON: it ends too early`},
		{"a truncated payload is refused", `{"ref": "x"`, `not valid JSON: it ends too early`},
		{"two values are refused", `{"ref": "x"} {}`, `not valid JSON: there is more text after the value`},
		{"a list is refused", `[]`, `got a list, want a JSON object`},
		{"a string is refused", `"x"`, `got a string, want a JSON object`},
		{"null is refused", `null`, `got null, want a JSON object`},
		{"a large payload is refused", `{"ref": "` + strings.Repeat("x", attune.MaxPayloadBytes) + `"}`, `524299 bytes are too many: use at most 524288`},
		{"a deep payload is refused", `{"ref": ` + deep + `}`, `objects and lists nest deeper than 100 levels`},
		{"invalid UTF-8 is refused", "{\"ref\": \"\xff\"}", `the text is not valid UTF-8`},
		{"a number out of range is refused", `{"ref": "x", "a": [{"n": -1e400}]}`, `/a/0/n: number -1e400 is out of range`},
		{"a value of another type is refused", `{"ref": 1}`, `/ref: got number, want string`},
		{"a missing property is refused", `{}`, `missing property 'ref'`},
		{"a value of another format is refused", `{"ref": "x", "home": "no uri"}`, `/home: 'no uri' is not valid uri: relative url`},
		{"only the alternative of the same type is reported", `{"ref": "x", "at": "ab"}`, `/at: minLength: got 2, want 3`},
		{"all alternatives are reported when all are of other types", `{"ref": "x", "at": true}`, `/at: got boolean, want integer; /at: got boolean, want string`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := engine.CheckEvent(attune.Trigger{Ref: "demo.push", Schema: json.RawMessage(schema)}, json.RawMessage(tt.payload))
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, `payload of trigger "demo.push": `+tt.want)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}
}

func TestEngine_CheckEvent_ListsTheFirstMistakes(t *testing.T) {
	t.Parallel()
	trigger := attune.Trigger{Ref: "demo.push", Schema: json.RawMessage(`{"additionalProperties": {"type": "string"}}`)}
	err := setup(t).CheckEvent(trigger, json.RawMessage(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1}`))
	require.EqualError(t, err, `payload of trigger "demo.push": /a: got number, want string; /b: got number, want string; `+
		`/c: got number, want string; /d: got number, want string; /e: got number, want string; and 2 more`)
}

func TestEngine_CheckEvent_NoSchema(t *testing.T) {
	t.Parallel()
	require.NoError(t, setup(t).CheckEvent(attune.Trigger{Ref: "demo.push"}, json.RawMessage(`{"any": "thing"}`)))
}

func BenchmarkEngine_Decide(b *testing.B) {
	engine := setup(b)
	candidate := rule(`payload.ref == "refs/heads/main"`, `{"commit": "{{ payload.after }}", "title": "push to {{ payload.ref }}"}`)
	candidate.Action.Schema = json.RawMessage(`{"properties": {"commit": {"type": "string"}}, "required": ["commit"]}`)
	for b.Loop() {
		engine.Decide(b.Context(), push(payload), []attune.Candidate{candidate})
	}
}
