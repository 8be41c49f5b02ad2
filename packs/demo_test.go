package packs_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/rules"
)

func TestDemo(t *testing.T) {
	t.Parallel()
	all, err := packs.LoadAll(t.TempDir(), []string{"demo"})
	require.NoError(t, err)
	demo := all[1]

	require.Equal(t, &attune.Webhook{
		Key: "demo-push", SecretEnv: "ATTUNE_DEMO_WEBHOOK_SECRET", DedupHeader: "X-GitHub-Delivery",
	}, demo.Triggers[0].Webhook)
	limits := map[attune.Ref]int{}
	for _, action := range demo.Actions {
		limits[action.Ref] = *action.Policy.Limit
	}
	require.Equal(t, map[attune.Ref]int{"demo.deploy": 1, "demo.test": 3, "demo.notify": 2, "demo.migrate": 4}, limits)
	enabled := map[attune.Ref]bool{}
	for _, rule := range demo.Rules {
		enabled[rule.Ref] = rule.Enabled
	}
	require.Equal(t, map[attune.Ref]bool{
		"demo.deploy-main": true, "demo.test-push": true, "demo.notify-release": true, "demo.deploy-preview": false,
		"demo.migrate-database": true,
	}, enabled)
}

// decide decides like a server: with the enabled rules of the trigger, and the keys of the actions.
func decide(t *testing.T, pack *attune.Pack, trigger attune.Ref, payload string) []attune.Decision {
	t.Helper()
	engine, err := rules.NewEngine()
	require.NoError(t, err)
	i := slices.IndexFunc(pack.Triggers, func(declared attune.Trigger) bool { return declared.Ref == trigger })
	require.NoError(t, engine.CheckEvent(pack.Triggers[i], json.RawMessage(payload)))
	var candidates []attune.Candidate
	for _, rule := range pack.Rules {
		if rule.Enabled && rule.Trigger == trigger {
			action := find(t, pack, rule.Action)
			candidates = append(candidates, attune.Candidate{Rule: rule, Action: action, Key: action.Policy.Key})
		}
	}
	decisions := engine.Decide(t.Context(), attune.Event{Trigger: trigger, Payload: json.RawMessage(payload)}, candidates)
	for _, d := range decisions {
		require.Empty(t, d.Detail)
	}
	return decisions
}

// react returns the parameters of the decisions about a push, which have no lanes.
func react(t *testing.T, pack *attune.Pack, payload string) []string {
	t.Helper()
	var got []string
	for i, d := range decide(t, pack, "demo.push", payload) {
		require.Empty(t, d.Lane)
		got = append(got, fmt.Sprintf("%d %s", i, d.Parameters))
	}
	return got
}

func TestDemo_Lanes(t *testing.T) {
	t.Parallel()
	pack, err := load(t, "demo")
	require.NoError(t, err)
	got := decide(t, pack, "demo.schema-version", `{"database": "orders", "version": 7}`)
	require.Len(t, got, 1)
	require.Equal(t, attune.LaneOf("orders"), got[0].Lane)
	require.JSONEq(t, `{"database": "orders", "version": 7}`, string(got[0].Parameters))
}

func TestDemo_Rules(t *testing.T) {
	t.Parallel()
	pack, err := load(t, "demo")
	require.NoError(t, err)
	push := func(more string) string {
		return `{"after": "c0ffee", "repository": {"full_name": "acme/site", "id": 1}, "pusher": {"name": "Ann", "email": "a@b.c"}, ` + more + `}`
	}
	const deploy = `{"commit":"c0ffee","environment":"production","repository":"acme/site"}`
	const tested = `{"commit":"c0ffee","repository":"acme/site"}`

	require.Equal(t, []string{
		"0 " + deploy,
		`1 {"channel":"#releases","commit":"c0ffee","message":"Ann pushed main of acme/site"}`,
		`2 {"commit":"c0ffee","commits":2,"repository":"acme/site"}`,
	}, react(t, pack, push(`"ref": "refs/heads/main", "commits": [{}, {}]`)))
	require.Equal(t, []string{"0 " + tested}, react(t, pack, push(`"ref": "refs/heads/topic"`)))
	require.Equal(t, []string{
		`0 {"channel":"#releases","commit":"c0ffee","message":"Ann pushed tag v1.2 of acme/site"}`, "1 " + tested,
	}, react(t, pack, push(`"ref": "refs/tags/v1.2"`)))
	require.Equal(t, []string{
		`0 {"channel":"#releases","commit":"c0ffee","message":"Ann pushed main of acme/site"}`, "1 " + tested,
	}, react(t, pack, push(`"ref": "refs/heads/main", "deleted": true`)))
}

func TestDemo_PayloadIsChecked(t *testing.T) {
	t.Parallel()
	pack, err := load(t, "demo")
	require.NoError(t, err)
	engine, err := rules.NewEngine()
	require.NoError(t, err)
	err = engine.CheckEvent(pack.Triggers[0], json.RawMessage(`{"ref": "main", "repository": {}, "pusher": {"name": 1}}`))
	require.EqualError(t, err, `payload of trigger "demo.push": missing property 'after'; /pusher/name: got number, want string; `+
		`/ref: 'main' does not match pattern '^refs/'; /repository: missing property 'full_name'`)
}

func TestDemo_Actions(t *testing.T) {
	t.Parallel()
	pack, err := load(t, "demo")
	require.NoError(t, err)

	tests := []struct {
		action     attune.Ref
		parameters string
		want       outcome
	}{
		{"demo.deploy", `{"commit":"abc","environment":"preview","repository":"a/b"}`, outcome{
			stdout: `{"repository": "a/b", "commit": "abc", "environment": "preview", "deployed": true, "seconds": 0.02}` + "\n",
			stderr: "deploying abc of a/b to preview\n"}},
		{"demo.test", `{"commit":"abc","commits":12,"repository":"a/b"}`, outcome{
			stdout: `{"commit": "abc", "commits": 12, "passed": 42, "failed": 0, "ok": true}` + "\n", stderr: "testing abc of a/b\n"}},
		{"demo.test", `{"commit":"commit","repository":"a/commits"}`, outcome{
			stdout: `{"commit": "commit", "commits": null, "passed": 42, "failed": 0, "ok": true}` + "\n", stderr: "testing commit of a/commits\n"}},
		{"demo.notify", `{"channel":"#x","commit":"abc","message":"Ann pushed é"}`, outcome{
			stdout: `{"channel": "#x", "message": "Ann pushed é", "delivered": true}` + "\n", stderr: "#x: Ann pushed é\n"}},
		{"demo.migrate", `{"database":"orders","version":7}`, outcome{
			stdout: `{"database": "orders", "version": 7, "migrated": true}` + "\n", stderr: "changing orders to version 7\n"}},
		{"demo.notify", `{"channel":"#x","commit":"ab7","message":"m"}`, outcome{stderr: "cannot reach #x\n", code: 1}},
	}
	for _, tt := range tests {
		t.Run(string(tt.action)+" "+tt.parameters, func(t *testing.T) {
			t.Parallel()
			got := run(t, pack, tt.action, tt.parameters)
			require.Equal(t, tt.want, got)
			require.True(t, got.code != 0 || json.Valid([]byte(got.stdout)))
		})
	}
}

// The README has the same defaults and ranges as the code.
func TestDemo_ReferenceIsRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("demo/README.md")
	require.NoError(t, err)
	want := []string{
		fmt.Sprintf("| `timeout` | duration | %#q |", strings.TrimSuffix(attune.DefaultActionTimeout.String(), "0s")),
		fmt.Sprintf("| `pool` | name | %#q |", attune.DefaultPool),
		fmt.Sprintf("at most %d KiB", attune.MaxPayloadBytes>>10),
	}
	for _, field := range policy.Fields() {
		want = append(want, referenceRow(field))
	}
	for _, line := range want {
		require.Contains(t, string(text), line)
	}
}

// referenceRow returns the beginning of the README's row of a policy field: name, values, default and range.
func referenceRow(field policy.Field) string {
	kind, allowed := string(field.Kind), field.Allowed
	if field.Kind == policy.Choice {
		kind, allowed = strings.ReplaceAll(field.Allowed, `"`, "`"), ""
	}
	return strings.ReplaceAll(fmt.Sprintf("| %#q | %s | %#q | %s |", field.Name, kind, field.Default, allowed), "|  |", "| |")
}

// The example of lanes in the README is the policy of demo.migrate.
func TestDemo_ReferenceOfLanesIsRight(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("demo/README.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "### Lanes")
	_, rest, _ = strings.Cut(rest, "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	pack, err := load(t, folder(t, map[string]string{"pack.yaml": "name: a\nactions: {x: {command: [ls]}}\n" + example}))
	require.NoError(t, err)
	demo, err := load(t, "demo")
	require.NoError(t, err)
	require.Equal(t, find(t, demo, "demo.migrate").Policy, pack.Policy)
	require.Contains(t, rest, fmt.Sprintf("at most %d bytes", attune.MaxLaneText))
	require.Contains(t, rest, "`"+attune.NoLane.Text()+"`")
}

// The smallest pack in the README loads unchanged.
func TestDemo_ReferenceExampleLoads(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("demo/README.md")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(text), "# hello/pack.yaml\n")
	example, _, found := strings.Cut(rest, "```")
	require.True(t, found)
	pack, err := load(t, folder(t, map[string]string{"pack.yaml": example}))
	require.NoError(t, err)
	require.Equal(t, "hello", pack.Name)
	require.Equal(t, attune.Ref("hello.greet"), pack.Rules[0].Action)
}
