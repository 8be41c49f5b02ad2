package rules_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rules"
)

// loginSchema marks a text, an object, the elements of a list and the members of a map.
const loginSchema = `{
	"type": "object",
	"properties": {
		"user": {"type": "string"},
		"password": {"type": "string", "format": "password", "pattern": "^[a-z0-9 ]+$"},
		"pin": {"type": "integer", "writeOnly": true, "maximum": 9999},
		"card": {"type": "object", "writeOnly": true},
		"keys": {"type": "array", "items": {"$ref": "#/$defs/key"}},
		"extra": {"type": "object", "patternProperties": {"^secret_": {"writeOnly": true}}}
	},
	"$defs": {"key": {"type": "object", "properties": {"name": {"type": "string"}, "token": {"type": ["string", "null"], "format": "password"}}}}
}`

const login = `{"user": "sam", "password": "hunter2", "pin": 4711, "card": {"number": "hunter3"},
	"keys": [{"name": "a", "token": "hunter4"}, {"name": "b", "token": null}], "extra": {"secret_a": "hunter5", "b": "c"}}`

// loginEvent is an event with the payload, as ingest passes it on.
func loginEvent(t require.TestingT, engine *rules.Engine, payload string) attune.Event {
	trigger := attune.Trigger{Ref: "demo.login", Schema: json.RawMessage(loginSchema)}
	require.NoError(t, engine.CheckEvent(trigger, json.RawMessage(payload)))
	masked, fields, err := engine.MaskEvent(trigger, json.RawMessage(payload))
	require.NoError(t, err)
	event := push("")
	event.Payload, event.Secrets = masked, fields
	return event
}

func TestEngine_MaskEvent(t *testing.T) {
	t.Parallel()
	engine := setup(t)

	t.Run("every marked part is taken out", func(t *testing.T) {
		t.Parallel()
		event := loginEvent(t, engine, login)
		require.JSONEq(t, `{"user": "sam", "password": "***", "pin": "***", "card": "***",
			"keys": [{"name": "a", "token": "***"}, {"name": "b", "token": null}], "extra": {"secret_a": "***", "b": "c"}}`, string(event.Payload))
		require.Equal(t, []attune.SecretField{
			{Pointer: "/password", Value: json.RawMessage(`"hunter2"`)}, {Pointer: "/pin", Value: json.RawMessage(`4711`)},
			{Pointer: "/card", Value: json.RawMessage(`{"number": "hunter3"}`)},
			{Pointer: "/keys/0/token", Value: json.RawMessage(`"hunter4"`)}, {Pointer: "/extra/secret_a", Value: json.RawMessage(`"hunter5"`)},
		}, event.Secrets)
	})

	t.Run("a mark counts wherever its schema can apply", func(t *testing.T) {
		t.Parallel()
		for name, schema := range map[string]string{
			"in all of":                  `{"allOf": [{"properties": {"p": {"writeOnly": true}}}]}`,
			"in a choice":                `{"anyOf": [{"required": ["x"]}, {"properties": {"p": {"writeOnly": true}}}]}`,
			"in a condition":             `{"if": {"required": ["x"]}, "then": {"properties": {"p": {"format": "password"}}}}`,
			"behind a reference":         `{"$ref": "#/$defs/a", "$defs": {"a": {"properties": {"p": {"$ref": "#b"}}}, "b": {"$anchor": "b", "writeOnly": true}}}`,
			"of a member":                `{"additionalProperties": {"writeOnly": true}}`,
			"of an unevaluated member":   `{"unevaluatedProperties": {"writeOnly": true}}`,
			"of a dependency":            `{"dependentSchemas": {"p": {"properties": {"p": {"writeOnly": true}}}}}`,
			"with a name as a pattern":   `{"patternProperties": {"p": {"writeOnly": true}}}`,
			"in draft 4":                 `{"$schema": "http://json-schema.org/draft-04/schema#", "properties": {"p": {"writeOnly": true}}}`,
			"in draft 7":                 `{"$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"s": {"format": "password"}}, "properties": {"p": {"$ref": "#/definitions/s"}}}`,
			"behind a dynamic reference": `{"$dynamicRef": "#d", "$defs": {"d": {"$dynamicAnchor": "d", "properties": {"p": {"writeOnly": true}}}}}`,
			"in a schema in itself":      `{"properties": {"p": {"writeOnly": true}, "next": {"$ref": "#"}}}`,
		} {
			trigger := attune.Trigger{Ref: "demo.x", Schema: json.RawMessage(schema)}
			require.NoError(t, rules.CheckSchema(trigger.Schema), name)
			require.True(t, rules.MarksSecrets(trigger.Schema), name)
			require.NoError(t, engine.CheckEvent(trigger, json.RawMessage(`{"p": "hunter2"}`)), name)
			masked, fields, err := engine.MaskEvent(trigger, json.RawMessage(`{"p": "hunter2"}`))
			require.NoError(t, err, name)
			require.JSONEq(t, `{"p": "***"}`, string(masked), name)
			require.Len(t, fields, 1, name)
		}
	})

	t.Run("a member beside the marked ones stays", func(t *testing.T) {
		t.Parallel()
		for name, schema := range map[string]string{
			"with a schema of its own":           `{"properties": {"p": {}}, "additionalProperties": {"writeOnly": true}}`,
			"without a mark":                     `{"properties": {"p": {"writeOnly": false, "format": "email"}, "q": {"writeOnly": true}}}`,
			"with a name that is no keyword":     `{"properties": {"p": {"properties": {"writeOnly": {}}}, "password": {}}}`,
			"in a schema that nothing refers to": `{"$defs": {"p": {"writeOnly": true}}}`,
		} {
			masked, fields, err := engine.MaskEvent(attune.Trigger{Ref: "demo.x", Schema: json.RawMessage(schema)}, json.RawMessage(`{"p": "a@b.c"}`))
			require.NoError(t, err, name)
			require.JSONEq(t, `{"p": "a@b.c"}`, string(masked), name)
			require.Empty(t, fields, name)
		}
	})

	t.Run("elements have the marks of their places", func(t *testing.T) {
		t.Parallel()
		for schema, want := range map[string]string{
			`{"properties": {"l": {"prefixItems": [{}, {"writeOnly": true}]}}}`:                                             `{"l": ["a", "***", "c"]}`,
			`{"properties": {"l": {"prefixItems": [{}], "items": {"writeOnly": true}}}}`:                                    `{"l": ["a", "***", "***"]}`,
			`{"properties": {"l": {"contains": {"writeOnly": true}}}}`:                                                      `{"l": ["***", "***", "***"]}`,
			`{"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"l": {"items": [{"writeOnly": true}]}}}`: `{"l": ["***", "b", "c"]}`,
		} {
			masked, _, err := engine.MaskEvent(attune.Trigger{Ref: "demo.x", Schema: json.RawMessage(schema)}, json.RawMessage(`{"l": ["a", "b", "c"]}`))
			require.NoError(t, err)
			require.JSONEq(t, want, string(masked), schema)
		}
	})

	t.Run("the schema cannot make the work unbounded", func(t *testing.T) {
		t.Parallel()
		many := `{"$defs": {"n": {"properties": {"p": {"writeOnly": true}}, "anyOf": [` + strings.TrimSuffix(strings.Repeat(`{"items": {"$ref": "#/$defs/n"}},`, 200), ",") + `]}}, "properties": {"l": {"items": {"$ref": "#/$defs/n"}}}}`
		list := `{"l": [` + strings.TrimSuffix(strings.Repeat("0,", 200_000), ",") + `]}`
		_, _, err := engine.MaskEvent(attune.Trigger{Ref: "demo.x", Schema: json.RawMessage(many)}, json.RawMessage(list))
		require.ErrorContains(t, err, "takes more than 1000000 steps")
		_, _, err = engine.MaskEvent(attune.Trigger{Ref: "demo.x", Schema: json.RawMessage(`{"properties": {"l": {"items": {"writeOnly": true}}}}`)}, json.RawMessage(list))
		require.ErrorContains(t, err, "secret values are too many")
	})
}

func TestEngine_SecretsStayOutOfMessages(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	trigger := attune.Trigger{Ref: "demo.login", Schema: json.RawMessage(loginSchema)}
	action := attune.Action{ID: 9, Ref: "demo.action", Schema: json.RawMessage(loginSchema)}
	for name, document := range map[string]string{
		"a pattern":          `{"password": "HUNTER2"}`,
		"another type":       `{"password": 12345}`,
		"a number too large": `{"pin": 12345}`,
		"a list in a list":   `{"keys": [{"token": 12345}]}`,
	} {
		err := engine.CheckEvent(trigger, json.RawMessage(document))
		require.ErrorContains(t, err, "the schema refuses this secret value", name)
		require.NotContains(t, err.Error(), "HUNTER2")
		require.NotContains(t, err.Error(), "12345")
		_, err = engine.Manual(action, json.RawMessage(document))
		require.ErrorContains(t, err, "the schema refuses this secret value", name)
		require.NotContains(t, err.Error(), "HUNTER2")
		require.NotContains(t, err.Error(), "12345")
	}
	require.ErrorContains(t, engine.CheckEvent(trigger, json.RawMessage(`{"user": 5}`)), "/user: got number, want string", "other values are explained")

	decisions := engine.Decide(t.Context(), loginEvent(t, engine, login), []attune.Candidate{
		{Rule: attune.Rule{Ref: "demo.r", Parameters: json.RawMessage(`{"pin": "{{ payload.password }}"}`)}, Action: action},
	})
	require.Equal(t, attune.ReasonParametersInvalid, decisions[0].Reason)
	require.Contains(t, decisions[0].Detail, "the schema refuses this secret value")
	require.JSONEq(t, `{"pin": "***"}`, string(decisions[0].Parameters))
}

func TestEngine_Manual_Secrets(t *testing.T) {
	t.Parallel()
	decision, err := setup(t).Manual(attune.Action{ID: 9, Ref: "demo.action", Schema: json.RawMessage(loginSchema)}, json.RawMessage(login))
	require.NoError(t, err)
	require.NotContains(t, string(decision.Parameters), "hunter")
	require.Len(t, decision.Secrets, 5)
}

func TestEngine_Decide_Secrets(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	action := attune.Action{ID: 9, Ref: "demo.action", Schema: json.RawMessage(`{"properties": {
		"password": {"writeOnly": true, "type": "string"}, "any": {"writeOnly": true}, "note": {}}}`)}
	ctx := t.Context()
	decide := func(t require.TestingT, criteria, parameters string) attune.Decision {
		decisions := engine.Decide(ctx, loginEvent(t, engine, login), []attune.Candidate{
			{Rule: attune.Rule{Ref: "demo.r", Criteria: criteria, Parameters: json.RawMessage(parameters)}, Action: action},
		})
		require.Len(t, decisions, 1)
		return decisions[0]
	}

	t.Run("a secret passes as a whole value, and parameters show a mask", func(t *testing.T) {
		t.Parallel()
		for template, want := range map[string]string{
			`payload.password`:          `"hunter2"`,
			`payload.?password`:         `"hunter2"`,
			`event.payload["password"]`: `"hunter2"`,
			`payload.keys[0].token`:     `"hunter4"`,
		} {
			decision := decide(t, ``, `{"password": "{{ `+strings.ReplaceAll(template, `"`, `'`)+` }}", "note": "{{ payload.user }}"}`)
			require.Equal(t, attune.EnforcementCreated, decision.Status, decision.Detail)
			require.JSONEq(t, `{"password": "***", "note": "sam"}`, string(decision.Parameters))
			require.Equal(t, []attune.SecretField{{Pointer: "/password", Value: json.RawMessage(want)}}, decision.Secrets)
		}
		decision := decide(t, ``, `{"any": {"pin": "{{ payload.pin }}", "card": ["{{ payload.card }}"], "keys": "{{ payload.keys }}"}}`)
		require.Equal(t, attune.EnforcementCreated, decision.Status, decision.Detail)
		require.JSONEq(t, `{"any": "***"}`, string(decision.Parameters))
		require.JSONEq(t, `{"pin": 4711, "card": [{"number": "hunter3"}], "keys": [{"name": "a", "token": "hunter4"}, {"name": "b", "token": null}]}`,
			string(decision.Secrets[0].Value), "values keep their types")
	})

	t.Run("no expression sees a secret", func(t *testing.T) {
		t.Parallel()
		decision := decide(t, `payload.password != "hunter2" && payload.card != {"number": "hunter3"} && payload.password.size() != 7`, `{}`)
		require.Equal(t, attune.EnforcementCreated, decision.Status, decision.Detail)
	})

	t.Run("a secret that a rule would show rejects the enforcement", func(t *testing.T) {
		t.Parallel()
		for parameters, want := range map[string]string{
			`{"note": "{{ payload.password }}"}`:                "would become part of a parameter that is not secret",
			`{"note": "x{{ payload.password }}"}`:               "would become part of a parameter that is not secret",
			`{"note": "{{ payload }}"}`:                         "would become part of a parameter that is not secret",
			`{"note": ["{{ {'a': payload.keys} }}"]}`:           "would become part of a parameter that is not secret",
			`{"password": "Bearer {{ payload.password }}"}`:     "can only be passed as a whole value",
			`{"password": "{{ payload.password + '' + 'x' }}"}`: "can only be passed as a whole value",
		} {
			decision := decide(t, ``, parameters)
			require.Equal(t, attune.EnforcementRejected, decision.Status, parameters)
			require.Equal(t, attune.ReasonParametersInvalid, decision.Reason)
			require.Contains(t, decision.Detail, want)
			require.Empty(t, decision.Secrets)
		}
	})

	t.Run("no expression gets a value out of the secret parameters", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			source := rapid.SampledFrom([]string{
				`payload.password`, `payload.card`, `payload.keys`, `payload`, `event`, `payload.extra`, `payload.pin`, `payload.keys[0].token`,
			}).Draw(t, "source")
			expression := rapid.SampledFrom([]string{
				`%`, `string(%)`, `[%, 1]`, `{'a': %}`, `% == % ? % : %`, `base64.encode(bytes(string(%)))`, `string(%).upperAscii()`,
				`string(%).reverse()`, `string(%).split('')`, `string(%).substring(1)`, `size(%)`, `[%].map(x, x)`, `optional.of(%)`,
				`cel.bind(x, %, [x])`, `string(%).replace('-', '')`, `% in [%]`, `int(%)`, `int(string(%))`, `%.nope`, `%[0]`,
			}).Draw(t, "expression")
			text := rapid.SampledFrom([]string{`{{ E }}`, `x{{ E }}`}).Draw(t, "text")
			member := rapid.SampledFrom([]string{"note", "password", "any"}).Draw(t, "member")
			text = strings.ReplaceAll(text, "E", strings.ReplaceAll(expression, "%", source))
			decision := decide(t, rapid.SampledFrom([]string{``, `string(` + source + `) != ''`}).Draw(t, "criteria"),
				`{"`+member+`": "`+text+`"}`)
			shown := string(decision.Parameters) + decision.Detail
			for _, value := range []string{"hunter", "HUNTER", "retnuh", "aHVudGVy", "4711"} {
				require.NotContains(t, shown, value)
			}
		})
	})
}

func TestCheckSecretCriteria(t *testing.T) {
	t.Parallel()
	for criteria, want := range map[string]string{
		``:                      ``,
		`payload.user == "sam"`: ``,
		`has(payload.password) && event.trigger != ""`:     ``,
		`payload.keys[0].name == "a"`:                      ``,
		`payload.extra.b == "c"`:                           ``,
		`payload.user ==`:                                  ``, // CheckCriteria reports it
		`payload.password == "x"`:                          `1:1: reads /password, which is a secret field or has one inside: criteria can only test whether a secret field exists`,
		`true || size(event.payload.password) > 7`:         `1:14: reads /password, which`,
		`has(payload.card.number)`:                         `1:5: reads /card, which`,
		`payload.?password.hasValue()`:                     `1:1: reads /password, which`,
		`payload["password"] == "x"`:                       `1:1: reads /password, which`,
		`payload.keys.exists(k, k.token == "x")`:           `1:1: reads /keys, which`,
		`payload.keys[1].token == "x"`:                     `1:1: reads /keys/1/token, which`,
		`payload.keys[payload.pin].name == "x"`:            `1:1: reads /keys, which is a secret field or has one inside: criteria can only test whether a secret field exists; 1:14: reads /pin, which`,
		`payload[payload.user] == 1`:                       `1:1: reads the whole payload, which has secret fields`,
		`size(payload) == 1`:                               `1:6: reads the whole payload, which has secret fields`,
		`[event].size() == 1`:                              `1:2: reads the whole payload, which has secret fields`,
		`payload.exists(k, k == "a")`:                      `1:1: reads the whole payload, which has secret fields`,
		`cel.bind(p, payload, p.user == "x")`:              `1:13: reads the whole payload, which has secret fields`,
		"payload.user == 'a' &&\n  payload.extra.secret_x": `2:3: reads /extra/secret_x, which`,
	} {
		err := rules.CheckSecretCriteria(criteria, json.RawMessage(loginSchema))
		if want == "" {
			require.NoError(t, err, criteria)
			continue
		}
		require.Error(t, err, criteria)
		require.Contains(t, err.Error(), want, criteria)
		require.NoError(t, rules.CheckSecretCriteria(criteria, json.RawMessage(`{"properties": {"password": {}}}`)), criteria)
	}
}

func TestCheckSecretParameters(t *testing.T) {
	t.Parallel()
	const action = `{"properties": {"password": {"writeOnly": true}, "note": {}, "deep": {"properties": {"token": {"format": "password"}}}}}`
	for parameters, want := range map[string]string{
		``:                                             ``,
		`{"note": "{{ payload.user }}"}`:               ``,
		`{"password": "{{ payload.password }}"}`:       ``,
		`{"password": "{{ payload.user }}"}`:           ``,
		`{"password": "Bearer {{ payload.user }}"}`:    ``,
		`{"deep": {"token": "{{ payload.?pin }}"}}`:    ``,
		`{"password": {"a": ["{{ payload.card }}"]}}`:  ``,
		`{"note": "{{ has(payload.password) }}"}`:      ``,
		`{"note": "{{ payload.password }}"}`:           `/note: 1:4: passes /password, which is a secret field or has one inside into a parameter that is not secret`,
		`{"note": "{{ payload }}"}`:                    `/note: 1:4: passes the whole payload, which has secret fields into a parameter that is not secret`,
		`{"password": "a {{ payload.password }}"}`:     `/password: 1:6: reads /password, which is a secret field or has one inside: a secret field can only be passed as a whole value`,
		`{"password": "{{ payload.password + 'x' }}"}`: `/password: 1:4: reads /password, which`,
		`{"deep": {"token": "{{ [payload.pin] }}"}}`:   `/deep/token: 1:5: reads /pin, which`,
		`{"password": "hunter2"}`:                      `/password: is secret by the schema of the action, and a pack holds no secrets`,
		`{"deep": {"token": 5}}`:                       `/deep/token: is secret by the schema of the action, and a pack holds no secrets`,
	} {
		err := rules.CheckSecretParameters(json.RawMessage(parameters), json.RawMessage(loginSchema), json.RawMessage(action))
		if want == "" {
			require.NoError(t, err, parameters)
			continue
		}
		require.Error(t, err, parameters)
		require.Contains(t, err.Error(), want, parameters)
		require.NotContains(t, err.Error(), "hunter2")
	}
	require.NoError(t, rules.CheckSecretParameters(json.RawMessage(`{"password": "x"}`), nil, nil))
	require.ErrorContains(t, rules.CheckSchema(json.RawMessage(`{"writeOnly": true}`)), "marks the whole document as secret")
	require.ErrorContains(t, rules.CheckSchema(json.RawMessage(`{"allOf": [{"format": "password"}]}`)), "marks the whole document as secret")
}
