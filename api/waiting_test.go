package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

func TestWaitingEnforcement(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ahead, active int64
		limit         int
		mode          attune.QueueMode
		why           string
		levels        []string
		noEstimate    string
	}{
		"every slot is held": {2, 2, 2, attune.QueueOpen,
			"It is number 3 in line. 2 of 2 slots are held.", []string{"queue"}, ""},
		"the enforcement is next": {0, 1, 1, attune.QueueDraining,
			"It is next in line. 1 of 1 slots are held.", []string{"queue"}, ""},
		"the queue is paused": {0, 0, 1, attune.QueuePaused,
			"It is next in line. The queue is paused: it grants nothing until it is resumed.", []string{"pause"}, "the queue is paused"},
		"the limit is 0": {1, 0, 0, attune.QueueOpen,
			"It is number 2 in line. The limit is 0: the queue grants nothing until the limit is raised.", []string{"queue"},
			"the limit of the queue is 0"},
		"a slot is free": {0, 1, 3, attune.QueueOpen,
			"It is next in line. 1 of 3 slots are held, and the next grant is on its way.", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.queues.waits(tt.ahead, tt.active, tt.limit)
			wait, err := b.queues.waiting("", 3)
			require.NoError(t, err)
			wait.Mode, wait.Latest = tt.mode, everyTenSeconds(30)
			body := b.explain(t, wait)
			require.Equal(t, tt.ahead+1, body.Position)
			require.Equal(t, tt.why, body.Why)
			require.Equal(t, tt.levels, levelsOf(body.HeldBy))
			require.Equal(t, tt.noEstimate, body.NoEstimate)
			require.Equal(t, tt.noEstimate == "", body.Estimate != nil)
			if body.Estimate != nil && tt.limit == 1 {
				require.InDelta(t, 9, time.Duration(body.Estimate.Likely).Seconds(), 4, "a slot is given back every ten seconds")
				require.LessOrEqual(t, body.Estimate.Low, body.Estimate.Likely)
				require.LessOrEqual(t, body.Estimate.Likely, body.Estimate.High)
				require.Positive(t, body.Estimate.Waits)
			}
		})
	}
}

// explain reads an enforcement that waits.
func (b *bundle) explain(t *testing.T, wait attune.Wait) (body api.Enforcement) {
	t.Helper()
	b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
		return attune.Enforcement{ID: id, Status: attune.EnforcementQueued, Queue: "github.deploy", Sequence: 9, QueuedAt: &noon}, nil
	}
	b.queues.waiting = func(attune.QueueKey, attune.EnforcementID) (attune.Wait, error) { return wait, nil }
	response := b.do(t, request{method: http.MethodGet, path: "/api/v1/enforcements/3"})
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	require.NoError(t, json.Unmarshal(response.Body.Bytes(), &body))
	return body
}

func levelsOf(obstacles []api.Obstacle) (levels []string) {
	for _, o := range obstacles {
		levels = append(levels, o.Level)
	}
	return levels
}

// everyTenSeconds is a grant log up to noon in which a slot is given back every ten seconds, nine seconds after its grant.
func everyTenSeconds(n int) []attune.LoggedGrant {
	var grants []attune.LoggedGrant
	for i := range n {
		released := noon.Add(time.Duration(i-n) * 10 * time.Second)
		g := attune.LoggedGrant{RequestedAt: released.Add(-9 * time.Second), ReleasedAt: &released}
		g.Number, g.Sequence, g.GrantedAt, g.EnqueuedAt, g.Limit = int64(i+1), int64(i+1), g.RequestedAt, released.Add(-19*time.Second), 1
		grants = append(grants, g)
	}
	return grants
}

// wholeWait is a wait with an obstacle at every level.
func wholeWait() attune.Wait {
	key := attune.LaneOf("eu")
	holder := attune.WaitHolder{
		Enforcement: 1, ActionID: 4, Action: "shop.deploy", Lane: 2, LaneName: key, HeldSince: noon, Execution: 8,
		Status: attune.ExecutionRunning, Worker: "w1",
	}
	other := attune.WaitHolder{Enforcement: 2, ActionID: 5, Action: "shop.notify", Lane: 3, HeldSince: noon}
	return attune.Wait{
		At: noon, Ticket: attune.Ticket{Enforcement: 3, Sequence: 9, EnqueuedAt: noon, Action: 4, Lane: 2}, LaneName: key, ActionRef: "shop.deploy",
		Mode: attune.QueuePaused, Override: &attune.LimitOverride{Limit: 2, Until: noon.Add(time.Hour)},
		Policy: attune.QueuePolicy{
			Limit: 9, Across: attune.AcrossSkip,
			Rates: []attune.StartRate{{Name: "all", Limit: 1, Window: attune.Duration(time.Hour)}},
			Actions: []attune.ActionPolicy{{Action: 4, Ref: "shop.deploy", Limit: new(1), LimitPerKey: new(1), Rates: []attune.StartRate{
				{Name: "closed", Limit: 2, Window: attune.Duration(time.Minute)}, {Name: "open", Limit: 5, Window: attune.Duration(time.Minute)},
			}}},
		},
		Queue: attune.LevelCount{Ahead: 30, Active: 2}, Action: attune.LevelCount{Ahead: 20, Active: 1}, Lane: attune.LevelCount{Ahead: 1, Active: 1},
		First: 12, Holders: []attune.WaitHolder{holder, other},
		InFront: []attune.Waiter{
			{Enforcement: 40, Action: "shop.deploy", Lane: 2, LaneName: key, Sequence: 8, QueuedAt: noon},
			{Enforcement: 41, Action: "shop.notify", Lane: 3, Sequence: 7, QueuedAt: noon},
		},
		Starts: []attune.ActionStarts{{Action: 4, At: []int64{noon.Add(-50 * time.Second).UnixMilli(), noon.Add(-20 * time.Second).UnixMilli()}}},
	}
}

func TestHeldBy(t *testing.T) {
	t.Parallel()

	t.Run("every obstacle is listed, with its holders and what comes first", func(t *testing.T) {
		t.Parallel()
		body := setup(t).explain(t, wholeWait())
		require.Equal(t, []string{"pause", "queue", "action", "lane", "rate", "rate"}, levelsOf(body.HeldBy))
		queue, action, lane, all, closed := body.HeldBy[1], body.HeldBy[2], body.HeldBy[3], body.HeldBy[4], body.HeldBy[5]
		require.Equal(t, noon.Add(time.Hour), *queue.Until)
		require.Equal(t, 2, *queue.Limit)
		require.EqualValues(t, 12, queue.Ahead, "what the queue can grant first")
		require.Len(t, queue.Holders, 2)
		require.Len(t, queue.InFront, 2)
		require.Equal(t, attune.Ref("shop.deploy"), action.Action)
		require.EqualValues(t, 20, action.Ahead)
		require.Len(t, action.Holders, 1)
		require.Equal(t, "eu", *lane.Key)
		require.Equal(t, []api.WaitHolder{{
			Enforcement: 1, Action: "shop.deploy", Key: new("eu"), HeldSince: noon, Execution: 8, Status: attune.ExecutionRunning, Worker: "w1",
		}}, lane.Holders)
		require.Equal(t, attune.EnforcementID(40), lane.InFront[0].Enforcement)
		require.Len(t, lane.InFront, 1)
		require.Equal(t, "all", all.Rate)
		require.Equal(t, noon.Add(time.Hour-20*time.Second), *all.OpensAt)
		require.Equal(t, "closed", closed.Rate)
		require.Equal(t, noon.Add(10*time.Second), *closed.OpensAt)
		require.EqualValues(t, 2, *closed.Active)
		require.Contains(t, body.Why, `1 of 1 slots of the key "eu" are held.`)
		require.Contains(t, body.Why, "The rate closed allows the next start at 2030-01-02T12:00:10Z.")
	})

	t.Run("a level with room holds nothing, unless others come first", func(t *testing.T) {
		t.Parallel()
		wait := wholeWait()
		wait.Mode, wait.Override, wait.Starts, wait.LaneOverride = attune.QueueOpen, nil, nil, &attune.LimitOverride{Limit: 3}
		wait.Policy.Actions[0].Limit = new(5)
		body := setup(t).explain(t, wait)
		require.Equal(t, []string{"lane"}, levelsOf(body.HeldBy))
		require.EqualValues(t, 1, body.HeldBy[0].Ahead)
		require.Equal(t, 3, *body.HeldBy[0].Limit)
		wait.Lane.Ahead = 0
		require.Empty(t, setup(t).explain(t, wait).HeldBy)
		wait.Policy.Across = attune.AcrossStrict
		require.Equal(t, []string{"queue"}, levelsOf(setup(t).explain(t, wait).HeldBy), "the whole line comes first")
	})

	t.Run("lists are bounded", func(t *testing.T) {
		t.Parallel()
		wait := wholeWait()
		for range 3 * attune.MaxWaitList {
			wait.Holders, wait.InFront = append(wait.Holders, wait.Holders[0]), append(wait.InFront, wait.InFront[0])
		}
		for _, o := range setup(t).explain(t, wait).HeldBy {
			require.LessOrEqual(t, len(o.Holders), attune.MaxWaitList)
			require.LessOrEqual(t, len(o.InFront), attune.MaxWaitList)
		}
	})
}
