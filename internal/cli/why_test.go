package cli_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

func TestQueueWhy(t *testing.T) {
	t.Parallel()
	noon := time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)
	a := newAttuneAPI()
	a.enforcement = api.Enforcement{
		Enforcement: attune.Enforcement{ID: 31, Action: "shop.deploy", Status: attune.EnforcementQueued, Queue: "shop.deploy"},
		Position:    13, Why: "It is number 13 in line.",
		Estimate: &api.Estimate{
			Low: attune.Duration(time.Second), Likely: attune.Duration(2 * time.Second), High: attune.Duration(3 * time.Second), Waits: 40,
		},
		HeldBy: []api.Obstacle{
			{
				Level: "lane", Key: new("eu"), Limit: new(2), Active: new(int64(2)), Ahead: 12, Until: &noon,
				Holders: []api.WaitHolder{{
					Enforcement: 9, Action: "shop.deploy", Key: new("eu"), HeldSince: noon, Status: attune.ExecutionRunning, Worker: "w1",
				}},
				InFront: []api.WaitInFront{{Enforcement: 30, Action: "shop.deploy", QueuedAt: noon}},
			},
			{Level: "rate", Rate: "slow", Limit: new(1), Active: new(int64(1)), Window: new(attune.Duration(time.Minute)), OpensAt: &noon},
		},
	}
	code, stdout, stderr := attuneQueue(t, a, "why", "31")
	require.Zero(t, code, stderr)
	require.Empty(t, cmp.Diff(`enforcement  31 of shop.deploy, queued
queue        shop.deploy
why          It is number 13 in line.
granted in   about 2s (1s to 3s in nine of ten cases; checked on 40 recorded waits)
held by      lane (key eu): 2 of 2, manual limit until 2030-01-02 12:00:00 UTC, 12 come first
  holds      enforcement 9 of shop.deploy (key eu), since 2030-01-02 12:00:00 UTC, running on w1
  …          and 1 more
  in front   enforcement 30 of shop.deploy, since 2030-01-02 12:00:00 UTC
  …          and 11 more
held by      rate slow: 1 of 1 in 1m0s, opens at 2030-01-02 12:00:00 UTC
`, stdout))

	a.enforcement.Estimate, a.enforcement.NoEstimate, a.enforcement.HeldBy = nil, "the queue is paused", nil
	_, stdout, _ = attuneQueue(t, a, "why", "31")
	require.Contains(t, stdout, "granted in   unknown: the queue is paused\n")
	a.enforcement.Why = ""
	_, stdout, _ = attuneQueue(t, a, "why", "31")
	require.Contains(t, stdout, "it does not wait")
	code, _, stderr = attuneQueue(t, a, "why", "shop.deploy")
	require.Equal(t, 2, code)
	require.Contains(t, stderr, "use its number")
}
