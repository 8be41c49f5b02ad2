package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/replay"
)

type fakeTrials struct {
	history func(from, to time.Time, most int) (replay.History, error)
	propose func([]policy.Level) (current, proposed policy.Effective, err error)
	runs    []attune.RecordedRun
	// accepted are the enforcements that were accepted before the period.
	accepted []replay.Accepted
}

func (f *fakeTrials) RecordedRuns(_ context.Context, ids []attune.EnforcementID, use func(attune.RecordedRun) error) error {
	for _, run := range f.runs {
		if slices.Contains(ids, run.Enforcement) {
			if err := use(run); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeTrials) Accepted(
	_ context.Context, _ attune.QueueKey, since, before time.Time, most int,
) ([]replay.Accepted, bool, error) {
	var found []replay.Accepted
	for _, accepted := range f.accepted {
		if !accepted.At.Before(since) && accepted.At.Before(before) {
			found = append(found, accepted)
		}
	}
	return found, len(found) < most && len(f.accepted) < 5, nil
}

func (f *fakeTrials) History(_ context.Context, key attune.QueueKey, from, to time.Time, most int) (replay.History, error) {
	if f.history == nil {
		return replay.History{}, notFound("such queue")
	}
	return f.history(from, to, most)
}

func (f *fakeTrials) Propose(_ context.Context, _ attune.QueueKey, documents []policy.Level) (policy.Proposal, error) {
	var err error
	p := policy.Proposal{Current: policy.Resolve(), Proposed: policy.Resolve(documents...)}
	if f.propose != nil {
		p.Current, p.Proposed, err = f.propose(documents)
	}
	p.Resolved = policy.OwnQueue(4, p.Proposed.Policy)
	p.Actions = []policy.ProposedAction{{Action: 4, Ref: "shop.deploy", Current: p.Current, Proposed: p.Proposed}}
	return p, err
}

// oneAfterTheOther is a history of n runs of a minute each that arrived at once at noon, at the default limit of 1.
func oneAfterTheOther(n int) replay.History {
	inForce := policy.OwnQueue(4, policy.Defaults())
	inForce.Revision = 1
	h := replay.History{
		From: noon, To: noon.Add(time.Hour), Mode: attune.QueueOpen, Policies: []replay.Policy{{QueuePolicy: inForce, At: noon}},
	}
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Minute)
		grant := attune.LoggedGrant{
			Grant: attune.Grant{
				Ticket: attune.Ticket{Enforcement: attune.EnforcementID(i + 1), Sequence: int64(i + 1), EnqueuedAt: noon, Attempt: 1, Action: 4},
				Number: int64(i + 1), GrantedAt: at, Limit: 1, Revision: 1,
			},
			RequestedAt: at, ReleasedAt: new(at.Add(time.Minute)),
		}
		if i > 0 {
			grant.Freed = []int64{int64(i)}
		}
		h.Grants = append(h.Grants, grant)
		h.Places = append(h.Places, replay.Place{Ticket: grant.Ticket, Grant: &h.Grants[i]})
	}
	for i := range h.Places {
		h.Places[i].Grant = &h.Grants[i]
	}
	return h
}

func TestTryPolicy(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, proposal string) api.PolicyTrial {
		t.Helper()
		b := setup(t)
		b.trials.history = func(from, to time.Time, most int) (replay.History, error) {
			require.Equal(t, noon, from.UTC())
			require.Equal(t, noon.Add(time.Hour), to.UTC())
			require.Equal(t, 100_000, most)
			return oneAfterTheOther(10), nil
		}
		recorder := b.do(t, post("/api/v1/policies/try", fmt.Sprintf(
			`{"action":"shop.deploy","from":"2030-01-02T12:00:00Z","to":"2030-01-02T13:00:00Z"%s}`, proposal)))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
		var trial api.PolicyTrial
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &trial))
		require.Empty(t, b.audit.entries, "nothing is changed")
		return trial
	}

	t.Run("the recorded policy yields what happened", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, "")
		require.True(t, trial.Same)
		require.Equal(t, api.OrderAgreement{Complete: true, Grants: 10, Agreed: 10}, trial.Order)
		require.Equal(t, trial.Really, trial.Proposed)
		require.Equal(t, trial.Really, trial.Recorded)
		require.InDelta(t, 540, trial.Really.P99, 0)
		require.Equal(t, 10, trial.Arrivals)
		require.Contains(t, trial.Assumption, "takes as long as it took")
	})

	t.Run("twice the limit halves the waits", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `,"policy":{"limit":2}`)
		require.False(t, trial.Same)
		require.InDelta(t, 240, trial.Proposed.P99, 0)
		require.InDelta(t, 540, trial.Recorded.P99, 0)
		require.Equal(t, 2, trial.Proposed.MostActive)
		require.JSONEq(t, `2`, string(trial.Policy.Fields[0].Value))
		require.JSONEq(t, `1`, string(trial.Policy.Fields[0].Next))
	})

	t.Run("a short line rejects", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `,"documents":[{"scope":"global","policy":{"max_queued":3}}]`)
		require.Equal(t, map[attune.Reason]int{attune.ReasonQueueFull: 6}, trial.Proposed.Left)
		require.Equal(t, 4, trial.Proposed.Granted)
	})
}

func TestTryPolicy_Refused(t *testing.T) {
	t.Parallel()
	const period = `"from":"2030-01-02T12:00:00Z","to":"2030-01-02T13:00:00Z"`
	for name, tt := range map[string]struct {
		body, detail string
		status       int
	}{
		"neither a queue nor an action": {`{` + period + `}`, "name either a queue or an action", http.StatusUnprocessableEntity},
		"a queue and an action": {
			`{"queue":"shop.deploy","action":"shop.deploy",` + period + `}`, "name either a queue or an action", http.StatusUnprocessableEntity,
		},
		"an empty period": {
			`{"queue":"shop.deploy","from":"2030-01-02T12:00:00Z","to":"2030-01-02T12:00:00Z"}`, "use a time after from",
			http.StatusUnprocessableEntity,
		},
		"a limit below 0": {
			`{"queue":"shop.deploy","policy":{"limit":-1},` + period + `}`, "body.policy.limit: expected number >= 0", http.StatusUnprocessableEntity,
		},
		"another queue": {
			`{"action":"shop.deploy","policy":{"queue":"shop.all"},` + period + `}`, "body.policy.queue: a replay of one queue cannot judge another",
			http.StatusUnprocessableEntity,
		},
		"a key that is no expression": {
			`{"action":"shop.deploy","policy":{"key":"parameters."},` + period + `}`, "body.policy.key", http.StatusUnprocessableEntity,
		},
		"a rate that delays a pack": {
			`{"queue":"shop.deploy","documents":[{"scope":"pack","ref":"shop","policy":` +
				`{"rate":[{"name":"r","limit":1,"window":"1m","method":"delay"}]}}],` + period + `}`,
			"body.policy.rate[0].method", http.StatusUnprocessableEntity,
		},
		"an unknown queue": {`{"queue":"shop.none",` + period + `}`, "no such queue", http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := setup(t).do(t, post("/api/v1/policies/try", tt.body))
			require.Equal(t, tt.status, recorder.Code, recorder.Body)
			require.Contains(t, recorder.Body.String(), tt.detail)
		})
	}
}

// TestTryPolicy_Chosen replays ten arrivals at noon. Each has a run of a minute and parameters of its own; the third was refused by a rate.
func TestTryPolicy_Chosen(t *testing.T) {
	t.Parallel()
	ask := func(t *testing.T, proposal string, change func(*fakeTrials)) api.PolicyTrial {
		t.Helper()
		b := setup(t)
		b.trials.history = func(_, _ time.Time, _ int) (replay.History, error) {
			h := oneAfterTheOther(9)
			h.Refused = []replay.Place{{
				Ticket: attune.Ticket{Enforcement: 10, EnqueuedAt: noon, Attempt: 1, Action: 4},
				Status: attune.EnforcementRejected, Reason: attune.ReasonRateLimited, EndedAt: noon,
			}}
			return h, nil
		}
		for i := range 14 {
			b.trials.runs = append(b.trials.runs, attune.RecordedRun{
				Enforcement: attune.EnforcementID(i + 1), Action: 4, Parameters: json.RawMessage(fmt.Sprint(i % 5)),
			})
		}
		if change != nil {
			change(b.trials)
		}
		recorder := b.do(t, post("/api/v1/policies/try", fmt.Sprintf(
			`{"action":"shop.deploy","from":"2030-01-02T12:00:00Z","to":"2030-01-02T13:00:00Z","policy":%s}`, proposal)))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
		var trial api.PolicyTrial
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &trial))
		require.Equal(t, 1, trial.Refused)
		require.Equal(t, 9, trial.Arrivals)
		require.Equal(t, map[attune.Reason]int{attune.ReasonRateLimited: 1}, trial.Really.Left)
		require.False(t, trial.Same)
		require.Contains(t, trial.Assumption, "what the proposed keys and costs yield")
		return trial
	}
	const limited = `{"limit":100,"rate":[{"name":"r","limit":4,"window":"1h"}]}`

	t.Run("another key has other lanes", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `{"key":"parameters.env"}`, nil)
		require.Equal(t, 5, trial.Proposed.MostActive, "one of each lane: a key brings limit_per_key 1")
		require.Equal(t, 10, trial.Proposed.Granted)
		require.Zero(t, trial.Uncomputed)
		require.Empty(t, trial.Ignored)
	})

	t.Run("what cannot be computed is counted, and keeps its lane", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `{"key":"parameters.env"}`, func(f *fakeTrials) {
			f.runs[0].Parameters = json.RawMessage(attune.SecretMask)
			f.runs[1].Action = 5 // it does not use the queue
			f.runs = append(f.runs[:8], f.runs[9:]...)
		})
		require.Equal(t, 3, trial.Uncomputed)
		require.Equal(t, 10, trial.Proposed.Granted)
	})

	t.Run("a key that fails rejects the arrival", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `{"key":"parameters.env"}`, func(f *fakeTrials) { f.runs[6].Parameters = json.RawMessage("invalid") })
		require.Equal(t, map[attune.Reason]int{attune.ReasonKeyInvalid: 1}, trial.Proposed.Left)
		require.Equal(t, 9, trial.Proposed.Granted)
	})

	t.Run("without rates, everything arrives", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, `{}`, nil)
		require.Empty(t, trial.Proposed.Left)
		require.Equal(t, 1, trial.Proposed.Borrowed)
	})

	t.Run("a rate judges all arrivals", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, limited, nil)
		require.Equal(t, map[attune.Reason]int{attune.ReasonRateLimited: 6}, trial.Proposed.Left)
		require.Empty(t, trial.Ignored)
	})

	t.Run("what was accepted in the window before has used its units", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, limited, func(f *fakeTrials) {
			f.accepted = []replay.Accepted{
				{Enforcement: 11, At: noon.Add(-2 * time.Hour)}, {Enforcement: 12, At: noon.Add(-time.Minute)},
			}
		})
		require.Equal(t, map[attune.Reason]int{attune.ReasonRateLimited: 7}, trial.Proposed.Left)
	})

	t.Run("charges that are not read are named", func(t *testing.T) {
		t.Parallel()
		trial := ask(t, limited, func(f *fakeTrials) {
			for i := range 5 { // as many as the fake leaves out the earliest of
				f.accepted = append(f.accepted, replay.Accepted{Enforcement: attune.EnforcementID(11 + i), At: noon.Add(-time.Minute)})
			}
		})
		require.Equal(t, []string{"what was charged before 2030-01-02T11:59:00Z"}, trial.Ignored)
	})

	t.Run("rates that other queues share are named", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.trials.history = func(_, _ time.Time, _ int) (replay.History, error) { return oneAfterTheOther(3), nil }
		recorder := b.do(t, post("/api/v1/policies/try", `{"action":"shop.deploy","from":"2030-01-02T12:00:00Z","to":"2030-01-02T13:00:00Z",`+
			`"documents":[{"scope":"global","policy":{"quota":[{"name":"q","limit":1,"period":"day"}]}}]}`))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body)
		require.Contains(t, recorder.Body.String(), `"ignored":["quota q of global: what it counts of other queues"]`)
		require.Contains(t, recorder.Body.String(), `"uncomputed":3`)
	})

	t.Run("payloads that are too large in sum are refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.trials.history = func(_, _ time.Time, _ int) (replay.History, error) { return oneAfterTheOther(3), nil }
		large := make(json.RawMessage, 128<<20)
		for id := range attune.EnforcementID(3) {
			b.trials.runs = append(b.trials.runs, attune.RecordedRun{Enforcement: id + 1, Action: 5, Parameters: large})
		}
		recorder := b.do(t, post("/api/v1/policies/try", `{"action":"shop.deploy","from":"2030-01-02T12:00:00Z",`+
			`"to":"2030-01-02T13:00:00Z","policy":{"key":"parameters.env"}}`))
		require.Equal(t, http.StatusUnprocessableEntity, recorder.Code, recorder.Body)
		require.Contains(t, recorder.Body.String(), "more than 256 MiB of payloads and parameters: choose a shorter one")
	})
}
