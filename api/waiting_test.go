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
		"slots are held": {3, attune.QueueStats{Mode: attune.QueueOpen, ActiveCount: 2, MaxConcurrent: 2},
			"2 wait in front of it, and 2 of 2 slots are held.", true},
		"next": {1, attune.QueueStats{Mode: attune.QueueDraining, ActiveCount: 1, MaxConcurrent: 1},
			"It is next, and 1 of 1 slots are held.", true},
		"paused": {1, attune.QueueStats{Mode: attune.QueuePaused, MaxConcurrent: 1},
			"It is next, and the queue is paused: nobody is granted before it is resumed.", false},
		"limit 0": {2, attune.QueueStats{Mode: attune.QueueOpen},
			"1 wait in front of it, and the limit is 0: nobody is granted before it is raised.", false},
		"about to be granted": {1, attune.QueueStats{Mode: attune.QueueOpen, ActiveCount: 1, MaxConcurrent: 3},
			"It is next; 1 of 3 slots are held, and grants are on their way.", true},
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
			answer := b.do(t, request{method: http.MethodGet, path: "/api/v1/enforcements/3"})
			require.Equal(t, http.StatusOK, answer.Code, answer.Body)
			var body struct {
				Position int64
				Why      string
				Estimate *struct{ Low, Likely, High string }
			}
			require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &body))
			require.Equal(t, tt.position, body.Position)
			require.Equal(t, tt.why, body.Why)
			require.Equal(t, tt.estimated, body.Estimate != nil)
			if tt.estimated {
				require.Equal(t, (time.Duration(tt.position) * 10 * time.Second).String(), body.Estimate.Likely)
			}
		})
	}
}

// everyTenSeconds is a log in which a slot turned over every ten seconds.
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
