package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestWaitingEnforcement(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		position  int64
		stats     attune.QueueStats
		why       string
		estimated bool
	}{
		"every slot is held": {3, attune.QueueStats{Mode: attune.QueueOpen, ActiveCount: 2, MaxConcurrent: 2},
			"It is number 3 in line. 2 of 2 slots are held.", true},
		"the enforcement is next": {1, attune.QueueStats{Mode: attune.QueueDraining, ActiveCount: 1, MaxConcurrent: 1},
			"It is next in line. 1 of 1 slots are held.", true},
		"the queue is paused": {1, attune.QueueStats{Mode: attune.QueuePaused, MaxConcurrent: 1},
			"It is next in line. The queue is paused: it grants nothing until it is resumed.", false},
		"the limit is 0": {2, attune.QueueStats{Mode: attune.QueueOpen},
			"It is number 2 in line. The limit is 0: the queue grants nothing until the limit is raised.", false},
		"a slot is free": {1, attune.QueueStats{Mode: attune.QueueOpen, ActiveCount: 1, MaxConcurrent: 3},
			"It is next in line. 1 of 3 slots are held, and the next grant is on its way.", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
				return attune.Enforcement{ID: id, Status: attune.EnforcementQueued, Queue: "github.deploy", Sequence: 9, QueuedAt: &noon}, nil
			}
			b.enforcements.position = func(attune.EnforcementID) (int64, error) { return tt.position, nil }
			b.queues.stats = func(attune.QueueKey) (attune.QueueStats, error) { return tt.stats, nil }
			b.journal.grants = func(attune.QueueKey, attune.Page) ([]attune.LoggedGrant, error) { return everyTenSeconds(8), nil }
			response := b.do(t, request{method: http.MethodGet, path: "/api/v1/enforcements/3"})
			require.Equal(t, http.StatusOK, response.Code, response.Body)
			var body struct {
				Position int64
				Why      string
				Estimate *struct{ Low, Likely, High string }
			}
			require.NoError(t, json.Unmarshal(response.Body.Bytes(), &body))
			require.Equal(t, tt.position, body.Position)
			require.Equal(t, tt.why, body.Why)
			require.Equal(t, tt.estimated, body.Estimate != nil)
			if tt.estimated {
				require.Equal(t, (time.Duration(tt.position) * 10 * time.Second).String(), body.Estimate.Likely)
			}
		})
	}
}

// everyTenSeconds is a grant log in which a slot is given back every ten seconds.
func everyTenSeconds(n int) []attune.LoggedGrant {
	var grants []attune.LoggedGrant
	for i := range n {
		released := noon.Add(time.Duration(i) * 10 * time.Second)
		g := attune.LoggedGrant{RequestedAt: released.Add(-9 * time.Second), ReleasedAt: &released}
		g.EnqueuedAt = noon.Add(-time.Hour)
		grants = append(grants, g)
	}
	return grants
}
