package ingest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/devenv/heap"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/rules"
	"github.com/attune-go/attune/secrets"
)

// mostHeap bounds the heap that one evaluation of this test adds, in bytes. The tests of package rules have larger payloads.
const mostHeap = 64 << 20

// engineWorld fakes the stores around a real engine. Every trigger has the schema, and one rule that passes the payload on to an action
// with the same schema.
type engineWorld struct{ schema json.RawMessage }

func (h engineWorld) Trigger(_ context.Context, ref attune.Ref) (attune.Trigger, error) {
	if strings.HasSuffix(string(ref), ".checked") {
		return attune.Trigger{Ref: ref, Schema: h.schema}, nil
	}
	return attune.Trigger{Ref: ref}, nil
}

func (h engineWorld) Action(_ context.Context, ref attune.Ref) (attune.Action, error) {
	return attune.Action{Ref: ref, Enabled: true, Schema: h.schema}, nil
}

func (h engineWorld) Record(ctx context.Context, event attune.Event, decide attune.DecideFunc) (attune.Recorded, error) {
	recorded := attune.Recorded{Event: event}
	rule := attune.Rule{Ref: "demo.rule", Parameters: json.RawMessage(`{"a": "{{ payload.a }}", "p": "{{ payload.?p }}"}`)}
	for _, d := range decide(event, []attune.Candidate{{Rule: rule, Action: attune.Action{Ref: "demo.action", Schema: h.schema}}}) {
		recorded.Enforcements = append(recorded.Enforcements, attune.Enforcement{Status: d.Status, Reason: d.Reason, Detail: d.Detail})
	}
	return recorded, ctx.Err()
}

func (engineWorld) ReserveID(context.Context) (attune.EventID, error) { return 0, nil }

func (engineWorld) EventRecorded(context.Context, attune.Source) {}

func (engineWorld) EnforcementReached(context.Context, int, attune.EnforcementStatus, attune.Reason) {
}

// TestIngest_MemoryOfManyCalls does not run in parallel: it measures the memory of the process. Twelve callers at the same time
// need no more memory than the evaluations that may run at the same time, and every caller gets the outcome.
func TestIngest_MemoryOfManyCalls(t *testing.T) {
	const callers, evaluations = 12, 2
	branch := func(alternative string) string { return strings.TrimSuffix(strings.Repeat(alternative+",", 3), ",") }
	list := `{"a": 1, "p": [` + strings.TrimSuffix(strings.Repeat("0,", attune.MaxPayloadBytes/16), ",") + `]}`
	for name, tt := range map[string]struct{ schema, payload string }{
		"a schema that branches at every level": {
			`{"$defs": {"n": {"anyOf": [` + branch(`{"properties": {"a": {"$ref": "#/$defs/n"}}, "required": ["y"]}`) + `]}}, "$ref": "#/$defs/n"}`,
			strings.Repeat(`{"a":`, 90) + `{}` + strings.Repeat(`}`, 90),
		},
		"alternatives for a long list": {`{"properties": {"p": {"anyOf": [` + branch(`{"items": {"type": "string"}}`) + `]}}}`, list},
		"unevaluated elements":         {`{"properties": {"p": {"unevaluatedItems": false, "allOf": [` + branch(`{"prefixItems": [{}]}`) + `]}}}`, list},
	} {
		engine, err := rules.NewEngine()
		require.NoError(t, err)
		h := engineWorld{schema: json.RawMessage(tt.schema)}
		in, err := ingest.New(ingest.Deps{Triggers: h, Actions: h, Engine: engine, Encrypter: &secrets.Keyring{}, Recorder: h, Metrics: h, Evaluations: evaluations})
		require.NoError(t, err)

		outcomes := make([]string, callers)
		peak := heap.Peak(func() {
			var calls sync.WaitGroup
			for i := range callers {
				calls.Go(func() { outcomes[i] = call(t.Context(), in, i, json.RawMessage(tt.payload)) })
			}
			calls.Wait()
		})
		require.LessOrEqual(t, peak, uint64(evaluations*mostHeap), name)
		for i, outcome := range outcomes {
			require.Equal(t, outcomes[i%3], outcome, name)
		}
		require.Equal(t, "invalid", outcomes[0], "%s: the payload of a direct run", name)
		require.Equal(t, "invalid", outcomes[1], "%s: the payload of an event", name)
		require.Equal(t, "parameters_invalid", outcomes[2], "%s: the parameters of a rule", name)
		t.Logf("measured: at most %d MiB of heap for %d calls, %d at a time, with %s", peak>>20, callers, evaluations, name)
	}
}

// call makes one of three kinds of calls. It returns the code of the error, or the reason of the rejected enforcement.
func call(ctx context.Context, in *ingest.Ingest, kind int, payload json.RawMessage) string {
	var recorded attune.Recorded
	var err error
	switch kind % 3 {
	case 0:
		run := deploy()
		run.Parameters = payload
		_, err = in.Run(ctx, run)
	default:
		arrival := push()
		arrival.Payload = payload
		if kind%3 == 1 {
			arrival.Trigger = "demo.checked"
		}
		recorded, err = in.Event(ctx, arrival)
	}
	if err != nil {
		return string(attune.CodeOf(err))
	}
	return fmt.Sprint(recorded.Enforcements[0].Reason)
}
