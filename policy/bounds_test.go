package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func TestCheckShared(t *testing.T) {
	t.Parallel()
	rate := func(limit int) []attune.StartRate {
		return []attune.StartRate{{Name: "r", Limit: limit, Window: attune.Duration(time.Hour)}}
	}
	// with returns a policy with n actions, the first of which has a reference of some bytes.
	with := func(n, bytes int) attune.QueuePolicy {
		p := attune.QueuePolicy{Limit: 1, Actions: make([]attune.ActionPolicy, n)}
		p.Actions[0].Ref = attune.Ref(strings.Repeat("x", bytes))
		return p
	}
	size := func(p attune.QueuePolicy) int {
		document, err := json.Marshal(p)
		require.NoError(t, err)
		return len(document)
	}
	startsBelow := with(3, 1)
	startsBelow.Rates, startsBelow.Actions[1].Rates = rate(1000), rate(attune.MaxQueueStarts-1000)
	startsAbove := with(3, 1)
	startsAbove.Rates, startsAbove.Actions[1].Rates, startsAbove.Actions[2].Rates = rate(1000), rate(attune.MaxQueueStarts-1000), rate(1)
	room := attune.MaxQueuePolicySize - size(with(2, 1)) + 1
	tests := []struct {
		name       string
		policy     attune.QueuePolicy
		path, says string // empty: no mistake
	}{
		{name: "as many actions as fit", policy: with(attune.MaxQueueActions, 1)},
		{name: "one action too many", policy: with(attune.MaxQueueActions+1, 1), path: "queue", says: "1001 actions join the queue shop.deploys"},
		{name: "as many starts as fit", policy: startsBelow},
		{name: "one start too many", policy: startsAbove, path: "rate", says: "limits of 20001 in all"},
		{name: "as many bytes as fit", policy: with(2, room)},
		{name: "one byte too many", policy: with(2, room+1), path: "queue", says: "have 128001 bytes in all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := policy.CheckShared(deploys, tt.policy)
			if tt.path == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.says)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
			var invalid *policy.DocumentError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, tt.path, invalid.Mistakes[0].Location())
		})
	}
}

// BenchmarkIndex_SharedQueue resolves a shared queue with many members, each with a document of its own. The time per member must not
// grow with the number of members.
func BenchmarkIndex_SharedQueue(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			var members []policy.Member
			var levels []policy.Level
			for i := range n {
				ref := attune.NewRef("ops", fmt.Sprint("a", i))
				members = append(members, policy.Member{Action: attune.ActionID(i + 1), Ref: ref})
				levels = append(levels, level(policy.ScopeAction, string(ref), joins(deploys)))
			}
			for b.Loop() {
				index := policy.NewIndex(levels)
				for _, m := range members {
					if index.QueueOf(m.Ref) != deploys {
						b.Fatal(m)
					}
				}
				if p := index.SharedQueue(deploys, members); len(p.Actions) != n {
					b.Fatal(len(p.Actions))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/member")
		})
	}
}
