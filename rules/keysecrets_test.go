package rules_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

func TestCheckKey(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		`parameters.environment`:          ``,
		`event.payload.ref + payload.ref`: ``,
		`parameters.?tenant.?id`:          ``,
		`optional.none()`:                 ``,
		`null`:                            ``,
		"parameters.a ==\n  params.b":     `2:3: undeclared reference to 'params'`,
		`parameters.`:                     `1:12: syntax error: cannot read '.'`,
		` `:                               `the expression is empty`,
		`[parameters.a]`:                  `1:1: yields list(dyn), want a text, a number, a boolean or null`,
		`{"a": 1}`:                        `1:1: yields map(string, int), want a text, a number, a boolean or null`,
		`parameters`:                      `1:1: yields map(string, dyn), want a text, a number, a boolean or null`,
		`event`:                           `1:1: yields rules.eventView, want a text, a number, a boolean or null`,
		`event.received_at`:               `1:1: yields google.protobuf.Timestamp, want a text, a number, a boolean or null`,
		`b"x"`:                            `1:1: yields bytes, want a text, a number, a boolean or null`,
		`duration("1s")`:                  `1:1: yields google.protobuf.Duration, want a text, a number, a boolean or null`,
		`optional.of([1])`:                `1:1: yields optional_type(list(int)), want a text, a number, a boolean or null`,
		`type(1)`:                         `1:1: yields type(int), want a text, a number, a boolean or null`,
		`google.protobuf.StringValue{value: parameters.env}`: `a message cannot be made: use a map`,
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, want, rules.CheckKey(key))
		})
	}
}

func TestCheckKey_Secrets(t *testing.T) {
	t.Parallel()
	const advice = `: people see the value of a key, so it can only test whether a secret field exists`
	for key, want := range map[string]string{
		`NAME.user`:                               ``,
		`has(NAME.password) ? "yes" : "no"`:       ``,
		`NAME.password`:                           `reads /password of DOC, which is a secret field or has one inside` + advice,
		`NAME.?password.orValue("")`:              `reads /password of DOC, which is a secret field or has one inside` + advice,
		`NAME["password"]`:                        `reads /password of DOC, which is a secret field or has one inside` + advice,
		`NAME.card.number`:                        `reads /card of DOC, which is a secret field or has one inside` + advice,
		`NAME.keys[0].name`:                       ``,
		"NAME.user +\n  string(NAME.keys[1])":     `reads /keys/1 of DOC, which is a secret field or has one inside` + advice,
		`NAME[NAME.user]`:                         `reads the whole of DOC, which has secret fields` + advice,
		`string(size(NAME))`:                      `reads the whole of DOC, which has secret fields` + advice,
		`NAME.user + NAME.extra[NAME.pin]`:        `reads /pin of DOC`,
		`[1].exists(x, NAME.pin == x)`:            `reads /pin of DOC, which is a secret field or has one inside` + advice,
		`NAME.`:                                   ``, // CheckKey reports it
		`cel.bind(n, NAME.password, n.size())`:    `reads /password of DOC, which is a secret field or has one inside` + advice,
		`"prefix " + string(NAME.extra.secret_a)`: `reads /extra/secret_a of DOC, which is a secret field or has one inside` + advice,
	} {
		for name, document := range map[string]string{"parameters": "the parameters", "payload": "the payload", "event.payload": "the payload"} {
			t.Run(strings.ReplaceAll(key, "NAME", name), func(t *testing.T) {
				t.Parallel()
				check, other := rules.CheckKeyPayload, rules.CheckKeyParameters
				if name == "parameters" {
					check, other = other, check
				}
				key := strings.ReplaceAll(key, "NAME", name)
				err := check(key, json.RawMessage(loginSchema))
				require.NoError(t, other(key, json.RawMessage(loginSchema)), "the key does not read the other document")
				require.NoError(t, check(key, json.RawMessage(`{"properties": {"user": {}}}`)), "a schema without secrets")
				require.NoError(t, check(key, nil))
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				found, ok := errors.AsType[*rules.CheckError](err)
				require.True(t, ok)
				require.Equal(t, 1+strings.Count(key, "\n"), found.Mistakes[0].Line)
				require.Positive(t, found.Mistakes[0].Column)
				require.Contains(t, err.Error(), strings.ReplaceAll(want, "DOC", document))
			})
		}
	}
}

func TestCheckKeyNames(t *testing.T) {
	t.Parallel()
	const closed = `{"properties": {"env": {}, "user": {"properties": {"id": {}}}}, "additionalProperties": false}`
	for name, tt := range map[string]struct{ key, schema, want string }{
		"a parameter of the schema":         {`parameters.env + parameters.user.id`, closed, ``},
		"a parameter outside of the schema": {"parameters.env +\n  parameters.environment", closed, `2:3: reads the parameter "environment", which the schema of the action does not accept`},
		"an optional parameter":             {`parameters.?nope`, closed, `1:1: reads the parameter "nope", which the schema of the action does not accept`},
		"a test":                            {`has(parameters.nope) ? "a" : "b"`, closed, ``},
		"a member of a member":              {`parameters.user.nope`, closed, ``},
		"a parameter that the key computes": {`parameters[parameters.env]`, closed, ``},
		"a field of the payload":            {`payload.nope`, closed, ``},
		"an open schema":                    {`parameters.nope`, `{"properties": {"env": {}}}`, ``},
		"patterns":                          {`parameters.nope`, `{"patternProperties": {"^n": {}}, "additionalProperties": false}`, ``},
		"another spelling of a keyword":     {`parameters.nope`, `{"additionalproperties": false}`, ``},
		"no members at all":                 {`parameters.nope`, `{"additionalProperties": false}`, `1:1: reads the parameter "nope", which the schema of the action does not accept`},
		"no schema":                         {`parameters.nope`, ``, ``},
		"a schema that is true":             {`parameters.nope`, `true`, ``},
		"a key with an error":               {`parameters.`, closed, ``},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireMistakes(t, tt.want, rules.CheckKeyNames(tt.key, json.RawMessage(tt.schema)))
		})
	}
}

// TestEngine_Key_SeesNoSecret reads secrets in ways that no check can find. The outcome may say that a field is secret, and never
// depends on its value.
func TestEngine_Key_SeesNoSecret(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	secret := func(value string) (attune.Event, attune.Candidate) {
		event := loginEvent(t, engine, `{"user": "password", "password": "`+value+`"}`)
		c := rule("", `{"password": "{{ payload.password }}", "user": "{{ payload.user }}"}`)
		c.Action.Schema = json.RawMessage(loginSchema)
		return event, c
	}
	for key, want := range map[string]string{
		`parameters[parameters.user]`:                               "yields a secret field",
		`payload[parameters.user]`:                                  "yields a secret field",
		`"a" + parameters[payload.user] + "b"`:                      "yields a secret field",
		`int(parameters[parameters.user])`:                          "type conversion error",
		`int(payload[parameters.user])`:                             "type conversion error",
		`parameters[parameters.user].substring(100)`:                "index out of range",
		`parameters[parameters.user] == "hunter2"`:                  "",
		`payload[parameters.user].startsWith("hunter")`:             "",
		`string(size(parameters[parameters.user]))`:                 "",
		`parameters[parameters.user] < "i"`:                         "",
		`parameters[parameters.user] == payload[parameters.user]`:   "",
		`parameters[parameters.user].matches("^hunter[0-9]$")`:      "",
		`dyn({"hunter2": "x"})[parameters[parameters.user]]`:        "",
		`base64.encode(bytes(parameters[parameters.user]))`:         "",
		`parameters[parameters.user].split("")[0]`:                  "",
		`parameters[parameters.user].upperAscii().contains("HUNT")`: "",
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, rules.CheckKey(key))
			var got []attune.Decision
			for _, value := range []string{"hunter2", "a"} {
				event, c := secret(value)
				c.Key = &key
				decision := decideOne(t, engine, event, c)
				require.NotContains(t, string(decision.Lane)+string(decision.Parameters), "hunter2")
				decision.Secrets = nil
				got = append(got, decision)
			}
			require.Equal(t, got[0], got[1], "the value of the secret makes no difference")
			require.Equal(t, want != "", got[0].Reason == attune.ReasonKeyInvalid, got[0].Detail)
			require.Contains(t, got[0].Detail, want)
			require.NotContains(t, got[0].Detail, "secret-", "the detail shows no cover")
		})
	}
}

func TestEngine_Lane_SeesNoSecret(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	for key, want := range map[string]string{
		`parameters[parameters.user]`:                 "yields a secret field",
		`payload.parameters[parameters.user]`:         "yields a secret field",
		`payload.parameters.password == "hunter2"`:    "",
		`int(payload.parameters[parameters.user])`:    "type conversion error",
		`has(payload.parameters.password) ? "a" : ""`: "",
	} {
		var got []attune.Decision
		for _, value := range []string{"hunter2", "a"} {
			action := attune.Action{ID: 9, Ref: "demo.action", Schema: json.RawMessage(loginSchema), Key: &key}
			decision, err := engine.Manual(action, json.RawMessage(`{"user": "password", "password": "`+value+`"}`))
			require.NoError(t, err)
			decision = engine.Lane(t.Context(), manual(decision), action, decision)
			decision.Secrets = nil
			require.NotContains(t, decision.Detail, "hunter2", key)
			require.NotContains(t, decision.Detail, "secret-", key)
			require.Equal(t, want != "", decision.Reason == attune.ReasonKeyInvalid, "%s: %s", key, decision.Detail)
			require.Contains(t, decision.Detail, want, key)
			got = append(got, decision)
		}
		require.Equal(t, got[0], got[1], key)
	}
}

// A mask and a cover can be longer than a secret: parameters of the most bytes have a lane nevertheless.
func TestEngine_Lane_OfParametersThatGrowWithTheirMasks(t *testing.T) {
	t.Parallel()
	engine, key := setup(t), `parameters.user`
	schema := json.RawMessage(`{"properties": {"pins": {"items": {"writeOnly": true}}}}`)
	pins := `{"user": "u", "pins": [` + strings.TrimSuffix(strings.Repeat("1,", 900), ",") + `], "fill": "`
	parameters := pins + strings.Repeat("x", attune.MaxPayloadBytes-len(pins)-len(`"}`)) + `"}`
	action := attune.Action{ID: 9, Ref: "demo.action", Schema: schema, Key: &key}
	decision, err := engine.Manual(action, json.RawMessage(parameters))
	require.NoError(t, err)
	require.Greater(t, len(decision.Parameters), attune.MaxPayloadBytes)
	got := engine.Lane(t.Context(), manual(decision), action, decision)
	require.Equal(t, attune.LaneName("=u"), got.Lane, got.Detail)
}
