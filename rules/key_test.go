package rules_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// keyed returns a rule that passes the payload's member "v" on as the parameters' member "v", with a key.
func keyed(key string) attune.Candidate {
	c := rule("", `{"v": "{{ payload.?v }}", "env": "production"}`)
	c.Key = &key
	return c
}

// decideOne returns the only decision for a candidate.
func decideOne(t require.TestingT, engine *rules.Engine, event attune.Event, c attune.Candidate) attune.Decision {
	got := engine.Decide(context.Background(), event, []attune.Candidate{c})
	require.Len(t, got, 1)
	return got[0]
}

func TestEngine_Key(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	for name, tt := range map[string]struct {
		key, payload string
		want         attune.LaneName
	}{
		"a parameter":                     {`parameters.env`, `{}`, "=production"},
		"a text":                          {`parameters.v`, `{"v": "a b"}`, "=a b"},
		"an empty text":                   {`parameters.v`, `{"v": ""}`, "="},
		"a text of the most bytes":        {`parameters.v`, `{"v": "` + strings.Repeat("é", 128) + `"}`, attune.LaneOf(strings.Repeat("é", 128))},
		"a text that looks like no value": {`parameters.v`, `{"v": "-"}`, "=-"},
		"an int":                          {`parameters.v`, `{"v": -7}`, "=-7"},
		"a uint":                          {`parameters.v`, `{"v": 18446744073709551615}`, "=18446744073709551615"},
		"a double":                        {`parameters.v`, `{"v": 0.25}`, "=0.25"},
		"a double that is whole":          {`parameters.v`, `{"v": 3.0}`, "=3"},
		"a large double":                  {`parameters.v`, `{"v": 1e300}`, "=1e+300"},
		"a bool":                          {`parameters.v`, `{"v": true}`, "=true"},
		"null":                            {`parameters.v`, `{"v": null}`, attune.NoLane},
		"a missing parameter":             {`parameters.v`, `{}`, attune.NoLane},
		"a missing member of a missing parameter": {`parameters.v.a.b`, `{}`, attune.NoLane},
		"a missing member of an object":           {`parameters.v.a.b`, `{"v": {"a": {}}}`, attune.NoLane},
		"a member of null":                        {`parameters.v.a.b`, `{"v": {"a": null}}`, attune.NoLane},
		"a missing key of an index":               {`parameters["no key"]`, `{}`, attune.NoLane},
		"a missing member in a function":          {`parameters.v.lowerAscii()`, `{}`, attune.NoLane},
		"a member of a nested object":             {`parameters.v.a.b`, `{"v": {"a": {"b": "deep"}}}`, "=deep"},
		"an optional with a value":                {`parameters.?v`, `{"v": "x"}`, "=x"},
		"an optional without a value":             {`parameters.?v.?a`, `{}`, attune.NoLane},
		"an optional with null":                   {`parameters.?v`, `{"v": null}`, attune.NoLane},
		"a default":                               {`parameters.?v.orValue("none")`, `{}`, "=none"},
		"a text that is made":                     {`parameters.env + "/" + string(parameters.v)`, `{"v": 5}`, "=production/5"},
		"a condition":                             {`has(parameters.v) ? "in" : "out"`, `{}`, "=out"},
		"a member of the payload":                 {`event.payload.ref`, `{"ref": "main"}`, "=main"},
		"the payload for short":                   {`payload.ref`, `{"ref": "main"}`, "=main"},
		"the source of the event":                 {`event.source + " " + event.trigger`, `{}`, "=webhook demo.push"},
		"the time of the event":                   {`event.received_at.getFullYear()`, `{}`, "=2030"},
		"a constant":                              {`"all"`, `{}`, "=all"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, rules.CheckKey(tt.key))
			got := decideOne(t, engine, push(tt.payload), keyed(tt.key))
			require.Equal(t, attune.EnforcementCreated, got.Status, got.Detail)
			require.Equal(t, tt.want, got.Lane)
			require.NoError(t, got.Lane.Validate())
			require.Equal(t, attune.QueueKey("demo.action"), got.Queue)
		})
	}
}

func TestEngine_Key_IsInvalid(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	const prefix = `rule "demo.rule", key "parameters.v" of the policy of action "demo.action": `
	for name, tt := range map[string]struct{ key, payload, detail string }{
		"a list":                   {`parameters.v`, `{"v": [1]}`, prefix + `yields list, want a text, a number, a boolean or null`},
		"an object":                {`parameters.v`, `{"v": {"a": 1}}`, prefix + `yields map, want a text, a number, a boolean or null`},
		"a text of 257 bytes":      {`parameters.v`, `{"v": "` + strings.Repeat("x", 257) + `"}`, prefix + `lane: the text has 257 bytes: use at most 256`},
		"a text with NUL":          {`parameters.v`, `{"v": "a\u0000"}`, prefix + `lane: the text contains U+0000, which cannot be stored`},
		"bytes":                    {`dyn(bytes(parameters.env))`, `{}`, `yields bytes, want`},
		"a timestamp":              {`dyn(event.received_at)`, `{}`, `yields google.protobuf.Timestamp, want`},
		"a duration":               {`dyn(duration("1s"))`, `{}`, `yields google.protobuf.Duration, want`},
		"a type":                   {`dyn(type(1))`, `{}`, `yields type, want`},
		"an optional in another":   {`optional.of(dyn(optional.of(1)))`, `{}`, `yields optional_type, want`},
		"an index out of bounds":   {`parameters.v[3]`, `{"v": [1]}`, `index out of bounds: 3 in parameters.v[3]`},
		"a conversion that fails":  {`int(parameters.v)`, `{"v": "x"}`, `type conversion error from 'string' to 'int'`},
		"a division by zero":       {`1 / parameters.v`, `{"v": 0}`, `division by zero`},
		"types that do not fit":    {`parameters.v + 1`, `{"v": "x"}`, `1:14: the types of the values do not fit`},
		"a key that never compile": {`parameters.`, `{}`, `syntax error`},
		"an unknown name":          {`params.v`, `{}`, `undeclared reference to 'params'`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decideOne(t, engine, push(tt.payload), keyed(tt.key))
			require.Equal(t, attune.EnforcementRejected, got.Status)
			require.Equal(t, attune.ReasonKeyInvalid, got.Reason, got.Detail)
			require.Contains(t, got.Detail, tt.detail)
			require.Contains(t, got.Detail, "of the policy of action")
			require.Contains(t, string(got.Parameters), `"env":"production"`, "the parameters stay for people")
			require.Empty(t, got.Lane)
			require.Empty(t, got.Queue)
		})
	}
}

func TestEngine_Key_OnlyOfTheActionThatHasOne(t *testing.T) {
	t.Parallel()
	got := setup(t).Decide(t.Context(), push(`{"v": "x"}`), []attune.Candidate{rule("", ""), keyed(`parameters.v`), rule("", `{}`)})
	require.Len(t, got, 3)
	require.Equal(t, []attune.LaneName{"", "=x", ""}, []attune.LaneName{got[0].Lane, got[1].Lane, got[2].Lane})
}

func TestEngine_Key_ParametersAreCheckedBefore(t *testing.T) {
	t.Parallel()
	c := keyed(`parameters.v`)
	c.Action.Schema = json.RawMessage(`{"properties": {"v": {"type": "integer"}}}`)
	got := decideOne(t, setup(t), push(`{"v": "x"}`), c)
	require.Equal(t, attune.ReasonParametersInvalid, got.Reason)
	require.Empty(t, got.Lane)
}

// manual is the recorded event of a direct run.
func manual(decision attune.Decision) attune.Event {
	event := push(`{"action":"demo.action","parameters":` + string(decision.Parameters) + `}`)
	event.Trigger, event.Source = attune.ManualTrigger, attune.SourceManual
	return event
}

func TestEngine_Lane(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	for name, tt := range map[string]struct {
		key, parameters string
		want            attune.LaneName
		detail          string
	}{
		"no key":                     {"", `{"env": "a"}`, "", ""},
		"a parameter":                {`parameters.env`, `{"env": "a"}`, "=a", ""},
		"a missing parameter":        {`parameters.env`, `{}`, attune.NoLane, ""},
		"a parameter in the payload": {`payload.parameters.env`, `{"env": "a"}`, "=a", ""},
		"the action in the payload":  {`event.payload.action`, `{}`, "=demo.action", ""},
		"a member of other payloads": {`payload.ref`, `{}`, attune.NoLane, ""},
		"the event": {`event.trigger + " " + event.source + " " + string(event.received_at.getFullYear())`, `{}`,
			"=core.manual manual 2030", ""},
		"a list": {`parameters.env`, `{"env": [1]}`, "",
			`key "parameters.env" of the policy of action "demo.action": yields list, want a text, a number, a boolean or null`},
		"a bomb": {`string(lists.range(900000).all(i, i >= 0))`, `{}`, "", `the key needs more than 1000000 steps for this event`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			action := attune.Action{ID: 9, Ref: "demo.action"}
			if tt.key != "" {
				action.Key = &tt.key
			}
			decision, err := engine.Manual(action, json.RawMessage(tt.parameters))
			require.NoError(t, err)
			got := engine.Lane(t.Context(), manual(decision), action, decision)
			require.Equal(t, tt.want, got.Lane)
			require.Equal(t, tt.parameters, string(got.Parameters))
			if tt.detail == "" {
				decision.Lane = tt.want
				require.Equal(t, decision, got)
				return
			}
			require.Equal(t, attune.EnforcementRejected, got.Status)
			require.Equal(t, attune.ReasonKeyInvalid, got.Reason, got.Detail)
			require.Contains(t, got.Detail, tt.detail)
			require.Empty(t, got.Queue)
		})
	}
}

func TestEngine_Key_TheCostIsBounded(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	numbers := strings.TrimSuffix(strings.Repeat("1,", 2000), ",")
	deep := strings.Repeat(`{"a":`, 90) + `"x"` + strings.Repeat("}", 90)
	large := `"` + strings.Repeat("x", attune.MaxPayloadBytes-200) + `"`
	for name, tt := range map[string]struct{ key, payload, detail string }{
		"loops": {`string(parameters.v.all(a, parameters.v.all(b, parameters.v.all(c, a + b + c > 0))))`, `{"v": [` + numbers + `]}`,
			"the rule needs more than 1000000 steps for this event"},
		"a text that doubles": {`"x" + ` + strings.TrimSuffix(strings.Repeat(`parameters.v + `, 5), " + "), `{"v": ` + large + `}`,
			"the result could have"},
		"a huge text":            {`parameters.v`, `{"v": ` + large + `}`, "524088 bytes: use at most 256"},
		"a deep value":           {`parameters.v`, `{"v": ` + deep + `}`, "yields map"},
		"a text of a huge text":  {`parameters.v.replace("x", "yy")`, `{"v": ` + large + `}`, "use at most 256"},
		"replacements":           {`parameters.v.replace("", "0123456789")`, `{"v": ` + large + `}`, "the result could have"},
		"a long expression":      {`"` + strings.Repeat("x", 10_000) + `"`, `{}`, "the expression has 10002 bytes: use at most 10000"},
		"a nested expression":    {strings.Repeat("[", 200) + "1" + strings.Repeat("]", 200) + "[0]", `{}`, ""},
		"a nested text of lists": {`size(` + strings.Repeat("[1] + ", 300) + `[1])`, `{}`, "max recursion depth exceeded"},
		"a pattern":              {`parameters.v.matches("(x{1000}){1000}")`, `{"v": "x"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decideOne(t, engine, push(tt.payload), keyed(tt.key))
			require.Equal(t, attune.ReasonKeyInvalid, got.Reason, got.Detail)
			require.Contains(t, got.Detail, tt.detail)
			require.LessOrEqual(t, len(got.Detail), 1000)
		})
	}
}

func TestEngine_Key_SharesTheStepsOfItsRule(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	const half = `lists.range(100000).all(x, x >= 0)` // about 700 000 steps
	c := keyed(`string(` + half + `)`)
	require.Equal(t, attune.LaneName("=true"), decideOne(t, engine, push(`{}`), c).Lane)
	c.Rule.Criteria = half
	got := decideOne(t, engine, push(`{}`), c)
	require.Equal(t, attune.ReasonKeyInvalid, got.Reason, got.Detail)
	require.Contains(t, got.Detail, "the rule needs more than 1000000 steps for this event")
}

// TestEngine_Key_LanesAreTexts draws two values: their lanes are equal if and only if their texts are.
func TestEngine_Key_LanesAreTexts(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	short := rapid.StringN(0, 60, 200).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
	value := rapid.OneOf(
		short.AsAny(), rapid.SampledFrom([]any{"", "-", "=", "1", "true", "null", "(none)", nil, true, false, 1, -1}),
		rapid.Int64().AsAny(), rapid.Uint64().AsAny(), rapid.Float64().AsAny(), rapid.Bool().AsAny(),
	)
	decide := func(t *rapid.T, v any, other string) (attune.LaneName, string) {
		payload, err := json.Marshal(map[string]any{"v": v, "other": other})
		require.NoError(t, err)
		got := decideOne(t, engine, push(string(payload)), keyed(`parameters.v`))
		require.Empty(t, got.Detail)
		require.NoError(t, got.Lane.Validate())
		c := keyed(`parameters.v`)
		c.Key, c.Rule.Parameters = nil, json.RawMessage(`{"text": "{{ string(payload.v) }}"}`)
		if v == nil {
			return got.Lane, ""
		}
		var rendered struct{ Text string }
		require.NoError(t, json.Unmarshal(decideOne(t, engine, push(string(payload)), c).Parameters, &rendered))
		return got.Lane, "text " + rendered.Text
	}
	rapid.Check(t, func(t *rapid.T) {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		laneA, textA := decide(t, a, "x")
		again, _ := decide(t, a, short.Draw(t, "other"))
		laneB, textB := decide(t, b, "x")
		require.Equal(t, laneA, again, "the rest of the event is no part of the key")
		require.Equal(t, textA == textB, laneA == laneB, "%q and %q", textA, textB)
		require.Equal(t, a == nil, laneA == attune.NoLane)
	})
}

// FuzzEngine_Key decides with any key, parameters and payload. A created decision has a valid lane, and a key that a check refuses
// has none.
func FuzzEngine_Key(f *testing.F) {
	f.Add(`parameters.v`, `{"v": "a"}`)
	f.Add(`parameters.?v.?b`, `{"v": null}`)
	f.Add(`payload[parameters.v]`, `{"v": "v"}`)
	f.Add(`event`, `{}`)
	f.Add(`string(b"\xff")`, `{}`)
	f.Add(`parameters.v.map(x, x.y)[0]`, `{"v": [{"y": "\u0000"}]}`)
	f.Add(`optional.of(parameters)`, `{"v": 1e308}`)
	f.Add(`[[[parameters.v]]].flatten(9)[0]`, `{"v": []}`)
	engine := setup(f)
	f.Fuzz(func(t *testing.T, key, payload string) {
		checked := rules.CheckKey(key)
		for _, d := range engine.Decide(t.Context(), push(payload), []attune.Candidate{keyed(key)}) {
			created := d.Status == attune.EnforcementCreated
			switch {
			case !utf8.ValidString(d.Detail) || d.Lane.Validate() != nil, created != (d.Lane != ""), created && checked != nil:
				t.Fatalf("decided %+v with a check of %v", d, checked)
			}
		}
	})
}
