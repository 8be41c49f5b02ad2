package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/policy"
)

// deployPolicy is the effective policy of the queue of [deployDetail].
func deployPolicy() policy.Effective {
	return policy.Resolve(
		policy.Level{Scope: policy.ScopePack, Ref: "shop", Policy: attune.Policy{Limit: new(2), MaxAttempts: new(3)}},
		policy.Level{Scope: policy.ScopeAction, Ref: "shop.deploy", Policy: attune.Policy{QueueTimeout: new(attune.Duration(time.Hour))}},
	)
}

// deployDetail is a queue with two holders, one waiting enforcement, and a history.
func deployDetail() attune.QueueDetail {
	hourAgo, minuteAgo, halfAgo := noon.Add(-time.Hour), noon.Add(-time.Minute), noon.Add(-30*time.Second)
	soon := noon.Add(50 * time.Second)
	inForce := policy.OwnQueue(4, deployPolicy().Policy)
	inForce.Revision, inForce.MaxQueued = 4, 50
	return attune.QueueDetail{
		At: noon,
		Stats: attune.QueueStats{
			Queue: "shop.deploy", ActionID: 4, Action: "shop.deploy", QueueLength: 3, ActiveCount: 2, MaxConcurrent: 2,
			Mode: attune.QueueOpen, OldestEnqueuedAt: &hourAgo, TotalEnqueued: 9, TotalCompleted: 4, LastUpdated: &halfAgo,
		},
		Policy: inForce,
		Holders: []attune.SlotHolder{
			{
				Enforcement: 31, LaneName: attune.LaneOf("eu"), Lane: 1, Sequence: 5, GrantNumber: 5, GrantedAt: minuteAgo, HeldSince: minuteAgo, Execution: 21, Attempt: 2,
				Status: attune.ExecutionRunning, Worker: "w1", Pool: "default", RequestedAt: &halfAgo, StartedAt: &halfAgo,
				LeaseUntil: &soon, Timeout: attune.Duration(time.Minute),
			},
			{
				Enforcement: 32, Sequence: 6, GrantNumber: 6, GrantedAt: halfAgo, HeldSince: halfAgo, Execution: 22, Attempt: 1,
				Status: attune.ExecutionRequested, Pool: "default", RequestedAt: &halfAgo, Timeout: attune.Duration(time.Minute),
			},
		},
		Parked:  4,
		Waiting: []attune.Waiter{{Enforcement: 33, LaneName: attune.NoLane, Lane: 2, Sequence: 7, QueuedAt: hourAgo, Attempt: 1}},
		Released: attune.Releases{
			LastMinute: 2, LastFiveMinutes: 15, LastHour: 90,
			P50: 1500 * time.Millisecond, P95: 9 * time.Second, Sample: 400, Since: &hourAgo,
		},
	}
}

func TestGetQueue(t *testing.T) {
	t.Parallel()

	t.Run("a busy queue is shown in detail", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.details.detail = func(key attune.QueueKey, first int) (attune.QueueDetail, error) {
			require.Equal(t, attune.QueueKey("shop.deploy"), key)
			require.Equal(t, 1, first)
			return deployDetail(), nil
		}
		b.details.effective = deployPolicy()
		recorder := b.do(t, get("/api/v1/queues/shop.deploy?waiting=1"))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		requireJSON(t, `{
			"queue": "shop.deploy", "action_id": 4, "action_ref": "shop.deploy", "queue_length": 3, "active_count": 2,
			"max_concurrent": 2, "mode": "open", "oldest_enqueued_at": "2030-01-02T11:00:00Z",
			"total_enqueued": 9, "total_completed": 4, "total_dropped": 0, "last_updated": "2030-01-02T11:59:30Z",
			"at": "2030-01-02T12:00:00Z", "oldest_wait_seconds": 3600, "parked_count": 4,
			"limit": {"in_force": 2, "from": "pack shop"},
			"policy": {
				"revision": 4,
				"limit": {"value": 2, "from": "pack shop", "source": {"scope": "pack", "ref": "shop"}},
				"key": {"value": null, "from": "default"},
				"limit_per_key": {"value": null, "from": "default"},
				"across": {"value": "strict", "from": "default"},
				"queue": {"value": null, "from": "default"},
				"when_busy": {"value": "wait", "from": "default"},
				"max_queued": {"value": 50, "from": "default", "next": 10000},
				"max_queued_per_key": {"value": null, "from": "default"},
				"overflow": {"value": "reject", "from": "default"},
				"queue_timeout": {"value": "1h0m0s", "from": "action shop.deploy", "source": {"scope": "action", "ref": "shop.deploy"}},
				"max_attempts": {"value": 3, "from": "pack shop", "source": {"scope": "pack", "ref": "shop"}},
				"retry_delay": {"value": "10s", "from": "default"},
				"retry_placement": {"value": "hold", "from": "default"},
				"retry_on": {"value": null, "from": "default"}
			},
			"holders": [
				{
					"enforcement_id": 31, "key": "eu", "lane": 1, "sequence": 5, "grant_number": 5, "execution_id": 21, "attempt": 2, "status": "running",
					"worker": "w1", "granted_at": "2030-01-02T11:59:00Z", "age_seconds": 60, "due_at": "2030-01-02T12:00:30Z",
					"lease_until": "2030-01-02T12:00:50Z",
					"expect": "The worker ends it at 2030-01-02T12:00:30Z at the latest. Without a renewal of the lease, the attempt is given up at 2030-01-02T12:00:50Z."
				},
				{
					"enforcement_id": 32, "sequence": 6, "grant_number": 6, "execution_id": 22, "attempt": 1, "status": "requested",
					"granted_at": "2030-01-02T11:59:30Z", "age_seconds": 30, "expect": "It waits for a worker of the pool \"default\"."
				}
			],
			"waiting": [{
				"position": 1, "enforcement_id": 33, "key": "(none)", "lane": 2, "sequence": 7, "attempt": 1, "queued_at": "2030-01-02T11:00:00Z", "wait_seconds": 3600
			}],
			"throughput": {"per_minute_1m": 2, "per_minute_5m": 3, "per_minute_60m": 1.5},
			"hold_time": {"p50_seconds": 1.5, "p95_seconds": 9, "grants": 400, "since": "2030-01-02T11:00:00Z"}
		}`, recorder)
		var counts attune.QueueStats
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &counts))
		require.Equal(t, deployDetail().Stats, counts, "who reads only the counts gets them")
	})

	t.Run("an idle queue is shown", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.details.detail = func(_ attune.QueueKey, first int) (attune.QueueDetail, error) {
			require.Equal(t, 20, first)
			return attune.QueueDetail{At: noon, Stats: attune.QueueStats{Queue: "shop.deploy", Mode: attune.QueueOpen, MaxConcurrent: 1}}, nil
		}
		body := b.queue(t)
		require.Empty(t, body.Holders)
		require.NotNil(t, body.Holders, "an empty list is a list")
		require.NotNil(t, body.Waiting)
		require.Nil(t, body.HoldTime)
		require.Nil(t, body.EmptyIn)
		require.Zero(t, body.OldestWait)
	})

	t.Run("a manual override is shown", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		until := noon.Add(time.Hour)
		override := attune.LimitOverride{Limit: 5, Until: until}
		b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) {
			s := deployDetail()
			s.Override, s.Stats.MaxConcurrent = &override, override.Limit
			return s, nil
		}
		require.Equal(t, api.QueueLimit{InForce: 5, From: "by hand", Until: &until}, b.queue(t).Limit)
		override.Until = time.Time{}
		require.Equal(t, api.QueueLimit{InForce: 5, From: "by hand"}, b.queue(t).Limit)
	})

	t.Run("the time until the line is empty is estimated, unless the queue cannot grant", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		s := deployDetail()
		s.Latest = everyTenSeconds(30)
		b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) { return s, nil }
		estimate := b.queue(t).EmptyIn
		require.NotNil(t, estimate)
		require.Positive(t, estimate.Waits)
		require.LessOrEqual(t, estimate.Low, estimate.Likely)
		require.LessOrEqual(t, estimate.Likely, estimate.High)
		require.InDelta(t, 15, time.Duration(estimate.Likely).Seconds(), 10, "three runs of 9 s in two slots")
		s.LongestLane, s.Policy.Actions = 20, []attune.ActionPolicy{{LimitPerKey: new(1)}}
		require.Greater(t, b.queue(t).EmptyIn.Low, estimate.High, "the longest lane decides")
		s.Stats.Mode = attune.QueuePaused
		require.Nil(t, b.queue(t).EmptyIn)
	})

	t.Run("errors are passed on", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireProblem(t, b.do(t, get("/api/v1/queues/nope")), 404, "not_found")
		requireProblem(t, b.do(t, get("/api/v1/queues/%00")), 404, "not_found")
		requireProblem(t, b.do(t, get("/api/v1/queues/nope?waiting=501")), 422, "invalid")
		b.details.detail = func(key attune.QueueKey, _ int) (attune.QueueDetail, error) {
			require.Equal(t, attune.QueueKey("shop.deploy/eu west"), key, "a key may hold a slash")
			return attune.QueueDetail{}, errDown
		}
		requireProblem(t, b.do(t, get("/api/v1/queues/shop.deploy%2Feu%20west")), 503, "unavailable")
	})
}

// queue reads the bundle's queue over the API.
func (b *bundle) queue(t *testing.T) api.Queue {
	t.Helper()
	recorder := b.do(t, get("/api/v1/queues/shop.deploy"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	var body api.Queue
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &body))
	return body
}

func TestExpectOfHolders(t *testing.T) {
	t.Parallel()
	started, asked, longAgo := noon.Add(-5*time.Second), noon.Add(-10*time.Second), noon.Add(-2*time.Minute)
	lease := noon.Add(time.Minute)
	running := attune.SlotHolder{Execution: 21, Status: attune.ExecutionRunning, StartedAt: &started, LeaseUntil: &lease, Timeout: attune.Duration(time.Second)}
	cases := map[string]struct {
		holder func(h attune.SlotHolder) attune.SlotHolder
		want   string
	}{
		"the timeout has ended": {func(h attune.SlotHolder) attune.SlotHolder { return h }, "The timeout ended at 2030-01-02T11:59:56Z without a report: check the worker."},
		"the lease has ended": {func(h attune.SlotHolder) attune.SlotHolder {
			h.LeaseUntil, h.CancelRequested = &longAgo, &longAgo
			return h
		},
			"did not renew the lease, which ended at 2030-01-02T11:58:00Z: the attempt is given up."},
		"the worker was asked to stop": {func(h attune.SlotHolder) attune.SlotHolder { h.CancelRequested = &asked; return h },
			"The worker was asked to stop it at 2030-01-02T11:59:50Z. Without a renewal of the lease, the attempt is given up at 2030-01-02T12:01:00Z."},
		"the slot has no execution": {func(attune.SlotHolder) attune.SlotHolder { return attune.SlotHolder{} }, "it is leaked"},
		"the execution has ended":   {func(h attune.SlotHolder) attune.SlotHolder { h.Status = attune.ExecutionFailed; return h }, "it is leaked"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) {
				return attune.QueueDetail{At: noon, Holders: []attune.SlotHolder{tc.holder(running)}}, nil
			}
			require.Contains(t, b.queue(t).Holders[0].Expect, tc.want)
		})
	}
}
