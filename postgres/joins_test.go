package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// change sets the document of a person, and returns the error.
func (b *bundle) change(t *testing.T, scope policy.Scope, ref string, p attune.Policy) error {
	t.Helper()
	_, err := postgres.NewPolicies(b.db).Change(t.Context(), policy.Change{
		Scope: scope, Ref: ref, Author: ada,
		Decide: func(policy.Documents, time.Time) (*policy.Draft, error) { return &policy.Draft{Policy: p}, nil },
	})
	return err
}

// delaying is a document with n rates of starts.
func delaying(n, limit int) (p attune.Policy) {
	for i := range n {
		rate := rateOf(fmt.Sprint("r", i), limit, time.Hour)
		rate.Method = attune.RateDelay
		p.Rate = append(p.Rate, rate)
	}
	return p
}

// widePack has n actions, which join a queue of their pack. Each has as many starts as an action can have.
func widePack(version string, n int) attune.Pack {
	pack := attune.Pack{
		Name: "wide", Digest: version, Queues: []attune.SharedQueue{{Ref: "wide.line"}},
		Policy: &attune.Policy{Queue: new(attune.QueueKey("wide.line"))},
	}
	for i := range n {
		rates := delaying(attune.MaxStartRates, attune.MaxStartRateLimit)
		pack.Actions = append(pack.Actions, attune.Action{
			Ref: attune.NewRef("wide", fmt.Sprintf("a%d", i)), Command: []string{"true"}, Timeout: time.Minute, Pool: "default", Policy: &rates,
		})
	}
	return pack
}

func TestSharedQueue_Bounds(t *testing.T) {
	t.Parallel()
	const perAction = attune.MaxStartRates * attune.MaxStartRateLimit
	requireRefused := func(t *testing.T, err error, path, says string) {
		t.Helper()
		requireCode(t, attune.CodeInvalid, err, says)
		var invalid *policy.DocumentError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, path, invalid.Mistakes[0].Location())
	}

	t.Run("a pack whose actions exceed the starts of their queue changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.install(t, widePack("1", attune.MaxQueueStarts/perAction))
		_, err := b.packs.Install(t.Context(), []attune.Pack{widePack("2", attune.MaxQueueStarts/perAction+1)})
		requireRefused(t, err, "rate", "the rates of the queue wide.line")
		require.EqualValues(t, attune.MaxQueueStarts/perAction, b.count(t, `SELECT count(*) FROM actions WHERE pack = 'wide'`))
	})

	t.Run("a person's rate, or join, that exceeds the starts is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.install(t, widePack("1", attune.MaxQueueStarts/perAction))
		requireRefused(t, b.change(t, policy.ScopeQueue, "wide.line", delaying(1, 1)), "rate", "limits of 20001 in all")
		require.NoError(t, b.change(t, policy.ScopeAction, "wide.a0", delaying(1, 1)))
		require.NoError(t, b.change(t, policy.ScopeQueue, "wide.line", delaying(1, 1)), "one action needs less now")

		joining := delaying(4, 1000)
		joining.Queue = new(attune.QueueKey("wide.line"))
		requireRefused(t, b.change(t, policy.ScopeAction, string(deploy), joining), "rate", "wide.line")
		joining.Rate = nil
		require.NoError(t, b.change(t, policy.ScopeAction, string(deploy), joining))
	})

	t.Run("a queue has at most so many actions", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := widePack("1", attune.MaxQueueActions+1)
		for i := range pack.Actions {
			pack.Actions[i].Policy = nil
		}
		_, err := b.packs.Install(t.Context(), []attune.Pack{pack})
		requireRefused(t, err, "queue", "1001 actions join the queue wide.line")
		pack.Actions = pack.Actions[:2]
		b.install(t, pack)
	})
}

// The policy of a queue keeps actions that have left, until more would be in it than can join: then those without enforcements go.
func TestSharedQueue_ActionsThatLeftAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pack := func(version string, from, n int) attune.Pack {
		p := widePack(version, 0)
		for i := range n {
			p.Actions = append(p.Actions, attune.Action{
				Ref: attune.NewRef("wide", fmt.Sprintf("b%d", from+i)), Command: []string{"true"}, Timeout: time.Minute, Pool: "default",
			})
		}
		return p
	}
	half := attune.MaxQueueActions/2 + 1
	b.install(t, pack("1", 0, half))
	waiting, ids := b.inQueue(t, "wide.b0", 1)
	require.Len(t, b.tickets(t, ids...), 1)
	b.follow(t)

	b.install(t, pack("2", half, half))
	b.follow(t)
	_, ids = b.inQueue(t, attune.NewRef("wide", fmt.Sprintf("b%d", half)), 1)
	require.Len(t, b.tickets(t, ids...), 1)
	detail, _, err := b.queues.Detail(t.Context(), "wide.line", 1)
	require.NoError(t, err)
	require.Len(t, detail.Policy.Actions, half+1, "those that join, and the one that waits")
	require.Equal(t, attune.Ref("wide.b0"), detail.Policy.RefOf("wide.line", waiting.ID))
}

// A new version of a pack is checked against what people have set.
func TestPacks_InstallChecksJoinedActions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.install(t, shopPack("1"), opsPack("1", ""))
	b.setDocument(t, policy.ScopeAction, string(restart), attune.Policy{MaxQueued: new(5)}, nil)
	_, err := b.packs.Install(t.Context(), []attune.Pack{opsPack("2", deploys)})
	requireCode(t, attune.CodeInvalid, err, `pack "ops"`, `action "ops.restart"`, "max_queued", "set it in the policy of the queue")
	b.removeDocument(t, policy.ScopeAction, string(restart))
	b.install(t, opsPack("2", deploys))
}

// BenchmarkQueues_ResolveShared resolves the policy of a shared queue with many members, which holds the locks of its row meanwhile.
func BenchmarkQueues_ResolveShared(b *testing.B) {
	bundle := setup(b)
	pack := widePack("1", attune.MaxQueueActions)
	for i := range pack.Actions {
		pack.Actions[i].Policy = nil
	}
	bundle.install(b, pack)
	for b.Loop() {
		snapshot, err := bundle.queues.Rebuild(b.Context(), "wide.line")
		require.NoError(b, err)
		require.Len(b, snapshot.Policy.Actions, attune.MaxQueueActions)
	}
}
