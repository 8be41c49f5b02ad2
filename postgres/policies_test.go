package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// storedPolicy is a row of the table of policies.
type storedPolicy struct {
	Scope    policy.Scope
	Ref      string
	Origin   policy.Origin
	Document string
	Revision int64
}

// policies reads every row, by scope, reference and origin.
func (b *bundle) policies(t testing.TB) []storedPolicy {
	t.Helper()
	rows, err := b.conn(t).Query(t.Context(), `
		SELECT scope, ref, origin, document::text, revision FROM policies ORDER BY scope, ref, origin`)
	require.NoError(t, err)
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[storedPolicy])
	require.NoError(t, err)
	return stored
}

// say sets a person's policy document for a scope.
func (b *bundle) say(t testing.TB, scope policy.Scope, ref string, p attune.Policy) {
	t.Helper()
	require.NoError(t, policy.Validate(p))
	document, err := json.Marshal(p)
	require.NoError(t, err)
	_, err = b.conn(t).Exec(t.Context(), `
		INSERT INTO policies AS p (scope, ref, origin, document, principal, auth_method, on_behalf_of, note)
		VALUES ($1, $2, 'person', $3::json, 'ada', 'token', '', 'busy')
		ON CONFLICT (scope, ref, origin) DO UPDATE SET document = EXCLUDED.document, revision = p.revision + 1`,
		scope, ref, string(document))
	require.NoError(t, err)
}

// sayGlobally sets a person's global policy document.
func (b *bundle) sayGlobally(t testing.TB, p attune.Policy) {
	t.Helper()
	b.say(t, policy.ScopeGlobal, "", p)
}

func TestPacks_InstallPolicies(t *testing.T) {
	t.Parallel()

	t.Run("each document is stored unchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		action := attune.Policy{
			Limit: new(3), QueueTimeout: new(attune.Duration(1)), MaxAttempts: new(4),
			RetryDelay: new(attune.Duration(time.Minute)), RetryPlacement: new(attune.RetryBack),
		}
		pack := demoPack()
		pack.Digest, pack.Actions[0].Policy = "demo-2", &action
		pack.Policy = &attune.Policy{MaxQueued: new(7), Overflow: new(attune.OverflowDropOldest)}
		b.install(t, pack)
		require.Empty(t, cmp.Diff([]storedPolicy{
			{policy.ScopeAction, string(deploy), policy.OriginPack,
				`{"limit":3,"queue_timeout":"1ns","max_attempts":4,"retry_delay":"1m0s","retry_placement":"back"}`, 1},
			{policy.ScopePack, "demo", policy.OriginPack, `{"max_queued":7,"overflow":"drop_oldest"}`, 1},
		}, b.policies(t)))
		stored, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(&action, stored.Policy))
		silent, err := b.packs.Action(t.Context(), notify)
		require.NoError(t, err)
		require.Nil(t, silent.Policy)
	})

	t.Run("only changed documents get a new revision", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest, pack.Policy = "demo-2", &attune.Policy{Limit: new(2)}
		pack.Actions[0].Policy, pack.Actions[1].Policy = &attune.Policy{Limit: new(3)}, &attune.Policy{Limit: new(4)}
		b.install(t, pack)
		b.install(t, attune.Pack{Name: "demo2", Digest: "1", Policy: &attune.Policy{Limit: new(9)}})
		b.say(t, policy.ScopePack, "demo", attune.Policy{Limit: new(8)})

		pack.Digest, pack.Actions[0].Policy, pack.Actions[1].Policy = "demo-3", &attune.Policy{Limit: new(5)}, nil
		b.install(t, pack)
		require.Empty(t, cmp.Diff([]storedPolicy{
			{policy.ScopeAction, string(deploy), policy.OriginPack, `{"limit":5}`, 2},
			{policy.ScopePack, "demo", policy.OriginPack, `{"limit":2}`, 1},
			{policy.ScopePack, "demo", policy.OriginPerson, `{"limit":8}`, 1},
			{policy.ScopePack, "demo2", policy.OriginPack, `{"limit":9}`, 1},
		}, b.policies(t)), "the one that was dropped is gone, the one that is the same keeps its revision, the rest is not the pack's")
	})

	t.Run("a person's document survives new versions of the pack", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest, pack.Actions[0].Policy = "demo-2", &attune.Policy{Limit: new(3), MaxAttempts: new(2)}
		b.install(t, pack)
		b.say(t, policy.ScopeAction, string(deploy), attune.Policy{Limit: new(6)})
		b.admit(t, b.created(t, deploy, 1)...)
		said := b.said(t)
		require.Equal(t, 6, said.Policy.Limit)
		require.Equal(t, "action demo.deploy (set by a person)", said.From["limit"].String())
		require.Equal(t, 2, said.Policy.MaxAttempts)
		require.Equal(t, "action demo.deploy", said.From["max_attempts"].String())

		pack.Digest, pack.Actions[0].Policy = "demo-3", nil
		b.install(t, pack)
		require.Equal(t, 6, b.said(t).Policy.Limit)
		stored, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		require.Nil(t, stored.Policy, "what the pack says about the action")
	})
}

// The constraints refuse every inconsistent row.
func TestPolicies_Constraints(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, row := range map[string]string{
		"a pack has no author":               `('pack', 'demo', 'pack', '{}', 'ada', 'token', '', '')`,
		"a person has an author":             `('pack', 'demo', 'person', '{}', NULL, NULL, NULL, NULL)`,
		"an author has a name":               `('pack', 'demo', 'person', '{}', '', 'token', '', '')`,
		"no pack sets the global policy":     `('global', '', 'pack', '{}', NULL, NULL, NULL, NULL)`,
		"the global scope has no reference":  `('global', 'demo', 'person', '{}', 'ada', 'token', '', '')`,
		"every other scope has a reference":  `('queue', '', 'person', '{}', 'ada', 'token', '', '')`,
		"there are four scopes and no fifth": `('team', 'a', 'person', '{}', 'ada', 'token', '', '')`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := b.conn(t).Exec(t.Context(), `
				INSERT INTO policies (scope, ref, origin, document, principal, auth_method, on_behalf_of, note) VALUES `+row)
			require.ErrorContains(t, err, "violates check constraint")
		})
	}
}

// ownQueue returns the policy of the queue that the action deploy owns, with a revision.
func (b *bundle) ownQueue(t *testing.T, revision int64, effective attune.EffectivePolicy) attune.QueuePolicy {
	t.Helper()
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	own := policy.OwnQueue(action.ID, effective)
	own.Revision = revision
	return own
}
