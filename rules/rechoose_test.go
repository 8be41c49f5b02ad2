package rules_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// TestEngine_Rechoose chooses lanes and charges for what is recorded, without the values of secrets. The choice is that of the arrival.
func TestEngine_Rechoose(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	gates := gated("payload.user", "size(parameters.user)").Gates
	for _, key := range []string{
		`parameters.user`, `payload.?none.orValue("x")`, `event.trigger + event.source`, `string(event.received_at)`, `parameters.none`,
		`1 / int(payload.user)`, // fails
		`parameters[parameters.user]`,
		`parameters[parameters.user] == "hunter2"`,
		`base64.encode(bytes(payload[parameters.user]))`,
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			event := loginEvent(t, engine, `{"user": "password", "password": "hunter2"}`)
			c := rule("", `{"password": "{{ payload.password }}", "user": "{{ payload.user }}"}`)
			c.Action.Schema, c.Key, c.Gates = json.RawMessage(loginSchema), &key, gates
			arrived := decideOne(t, engine, event, c)

			event.Secrets, event.Encrypted = nil, "" // as recorded
			action := c.Action
			action.Key, action.Gates = c.Key, c.Gates
			run := attune.RecordedRun{
				Event: event, PayloadSchema: json.RawMessage(loginSchema),
				Parameters: arrived.Parameters, ParametersSchema: c.Action.Schema,
			}
			require.NotContains(t, string(run.Parameters)+string(event.Payload), "hunter2")
			chosen := engine.Rechoose(t.Context(), run, action)
			require.Equal(t, arrived.Lane, chosen.Lane)
			require.Equal(t, arrived.Charges, chosen.Charges)
			require.Equal(t, arrived.Status, chosen.Status)
			require.Equal(t, arrived.Reason, chosen.Reason)
		})
	}
}

func TestEngine_RechooseForADirectRun(t *testing.T) {
	t.Parallel()
	engine := setup(t)
	action := attune.Action{ID: 4, Ref: "demo.action", Key: new("payload.action + parameters.v"), Gates: gated("", "payload.parameters.n").Gates}
	event := push("")
	event.Trigger, event.Source, event.Payload = attune.ManualTrigger, attune.SourceManual, nil
	run := attune.RecordedRun{Event: event, Parameters: json.RawMessage(`{"v": "x", "n": 3}`)}
	chosen := engine.Rechoose(t.Context(), run, action)
	require.Equal(t, attune.LaneOf("demo.actionx"), chosen.Lane, chosen.Detail)
	require.Equal(t, []attune.Charge{{GateID: tenants, Cost: 3}}, chosen.Charges)

	action.Key, action.Gates, action.Queue = nil, nil, "demo.shared"
	require.Equal(t, attune.ActionLane(4), engine.Rechoose(t.Context(), run, action).Lane)

	run.Event, run.Parameters = push(`{"broken`), json.RawMessage(`{"v": "x"}`)
	action.Key = new("payload.v")
	require.Equal(t, attune.ReasonKeyInvalid, engine.Rechoose(t.Context(), run, action).Reason)
	action.Schema, run.ParametersSchema = json.RawMessage(`{"type": 7}`), json.RawMessage(`{"properties": {"v": {"writeOnly": "?"}}`)
	require.Equal(t, attune.ReasonKeyInvalid, engine.Rechoose(t.Context(), run, action).Reason, "a schema that cannot be read")
}
