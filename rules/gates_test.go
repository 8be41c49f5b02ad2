package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

var tenants = attune.GateID{Kind: attune.GateRate, Scope: "action", Ref: "demo.action", Name: "tenants"}

// gated returns a rule with one gate: see keyed.
func gated(key, cost string) attune.Candidate {
	c := rule("", `{"v": "{{ payload.?v }}", "env": "production"}`)
	c.Gates = []attune.Gate{{GateID: tenants, Key: key, Cost: cost}}
	return c
}

func TestEngine_Gates(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	for name, tt := range map[string]struct {
		key, cost, payload string
		lane               attune.LaneName
		units              int64
	}{
		"neither key nor cost":        {"", "", `{}`, "", 1},
		"a key":                       {"parameters.env", "", `{}`, "=production", 1},
		"a key without a value":       {"parameters.v", "", `{}`, attune.NoLane, 1},
		"a key that is null":          {"parameters.v", "", `{"v": null}`, attune.NoLane, 1},
		"a constant cost":             {"", "7", `{}`, "", 7},
		"a cost of the parameters":    {"", "parameters.v", `{"v": 12}`, "", 12},
		"a cost of the event":         {"", "size(payload.files)", `{"files": [1, 2, 3]}`, "", 3},
		"a cost of 0":                 {"", "0", `{}`, "", 0},
		"the highest cost":            {"", "1000000", `{}`, "", 1_000_000},
		"a cost with a default":       {"", "int(parameters.?v.orValue(2))", `{}`, "", 2},
		"key and cost, one evaluated": {"payload.k", "1 + 1", `{"k": true}`, "=true", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decideOne(t, engine, push(tt.payload), gated(tt.key, tt.cost))
			require.Equal(t, attune.EnforcementCreated, got.Status, got.Detail)
			require.Equal(t, []attune.Charge{{GateID: tenants, Key: tt.lane, Cost: tt.units}}, got.Charges)
			require.Empty(t, got.Lane)
		})
	}
}

func TestEngine_GatesThatFail(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	const gate = ` of rate tenants of action demo.action: `
	for name, tt := range map[string]struct{ key, cost, payload, want string }{
		"a key that is no scalar":  {"parameters.v", "", `{"v": [1]}`, "key" + gate + "yields list, want a text, a number, a boolean or null"},
		"a key that is too long":   {"parameters.v", "", `{"v": "` + strings.Repeat("x", 257) + `"}`, "the text has 257 bytes: use at most 256"},
		"a cost without a value":   {"", "parameters.v", `{}`, "cost" + gate + `1:11: no such key "v": test has(parameters.v) first`},
		"a cost that is no int":    {"", "parameters.v", `{"v": 1.5}`, "cost" + gate + "yields double, want int: convert with int()"},
		"a cost below 0":           {"", "parameters.v", `{"v": -1}`, "cost" + gate + "yields -1: use 0 to 1000000"},
		"a cost above the range":   {"", "parameters.v", `{"v": 1000001}`, "cost" + gate + "yields 1000001: use 0 to 1000000"},
		"a cost that is not valid": {"", "parameters.", `{}`, "cost" + gate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := decideOne(t, engine, push(tt.payload), gated(tt.key, tt.cost))
			require.Equal(t, attune.EnforcementRejected, got.Status)
			require.Equal(t, attune.ReasonGateInvalid, got.Reason)
			require.Contains(t, got.Detail, tt.want)
			require.Contains(t, string(got.Parameters), "production", "people need the parameters to find out why")
			require.Empty(t, got.Charges)
		})
	}
}

func TestEngine_GatesShareTheSteps(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	c := gated("", "")
	many := `string(["a","b","c","d","e","f","g","h"].map(a, ["a","b","c","d","e","f","g","h"].map(b, ` +
		`["a","b","c","d","e","f","g","h"].map(c, ["a","b","c","d","e","f","g","h"].map(d, size(a + b + c + d))))).size())`
	c.Gates[0].Key = many
	require.Equal(t, attune.EnforcementCreated, decideOne(t, engine, push(`{}`), c).Status, "one fits into the budget")
	for range 40 {
		c.Gates = append(c.Gates, c.Gates[0])
	}
	got := decideOne(t, engine, push(`{}`), c)
	require.Equal(t, attune.ReasonGateInvalid, got.Reason)
	require.Contains(t, got.Detail, "needs more than 1000000 steps")
}

func TestEngine_GatesOfADirectRun(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	action := attune.Action{ID: 4, Ref: "demo.action", Gates: gated("parameters.v", "event.payload.parameters.n").Gates}
	decision, err := engine.Manual(action, json.RawMessage(`{"v": "x", "n": 3}`))
	require.NoError(t, err)
	got := engine.Lane(t.Context(), manual(decision), action, decision)
	require.Equal(t, []attune.Charge{{GateID: tenants, Key: "=x", Cost: 3}}, got.Charges)

	decision, err = engine.Manual(action, json.RawMessage(`{"v": "x"}`))
	require.NoError(t, err)
	got = engine.Lane(t.Context(), manual(decision), action, decision)
	require.Equal(t, attune.ReasonGateInvalid, got.Reason)
}

func TestCheckCost(t *testing.T) {
	t.Parallel()
	for cost, want := range map[string]string{
		`1`:                       ``,
		`parameters.size`:         ``,
		`size(payload.files) * 2`: ``,
		`"1"`:                     `1:1: yields string, want int`,
		`1.5`:                     `1:1: yields double, want int`,
		`parameters.a > 1`:        `1:1: yields bool, want int`,
		`params.a`:                `1:1: undeclared reference to 'params'`,
		` `:                       `the expression is empty`,
	} {
		t.Run(cost, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, want, rules.CheckCost(cost))
		})
	}
}
