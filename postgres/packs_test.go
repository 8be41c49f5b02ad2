package postgres_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/postgres"
)

func TestPacks_Install(t *testing.T) {
	t.Parallel()

	t.Run("the declarations of a pack are stored", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()

		trigger, err := b.packs.Trigger(t.Context(), pushed)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(pack.Triggers[0], trigger, cmpopts.IgnoreFields(attune.Trigger{}, "ID")))
		action, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		want := pack.Actions[0]
		want.Enabled = true
		require.Empty(t, cmp.Diff(want, action, cmpopts.IgnoreFields(attune.Action{}, "ID")))
		rule, err := b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(pack.Rules[0], rule, cmpopts.IgnoreFields(attune.Rule{}, "ID")))
		require.Positive(t, trigger.ID)
		require.Positive(t, action.ID)
		require.Positive(t, rule.ID)
	})

	t.Run("a pack with the same digest is unchanged", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))

		require.Equal(t, []postgres.InstallResult{{Name: "demo", Version: "1.0.0"}}, b.install(t, demoPack()))
		rule, err := b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.False(t, rule.Enabled, "what was switched by hand stays until the pack changes")
	})

	t.Run("a new version keeps ids and sets enabled again", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		before, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))

		next := demoPack()
		next.Digest, next.Version = "demo-2", "2.0.0"
		next.Actions[0].Timeout = 90 * time.Second
		require.Equal(t, []postgres.InstallResult{{Name: "demo", Version: "2.0.0", Changed: true, Triggers: 1, Actions: 2, Rules: 1}},
			b.install(t, next))
		after, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		require.Equal(t, before.ID, after.ID)
		require.Equal(t, 90*time.Second, after.Timeout)
		rule, err := b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.True(t, rule.Enabled)
	})

	t.Run("an undeclared item is disabled until it is declared again", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.install(t, attune.Pack{Name: "demo", Version: "2", Digest: "demo-2"})

		_, err := b.packs.Trigger(t.Context(), pushed)
		requireCode(t, attune.CodeNotFound, err, `"demo.pushed"`)
		_, err = b.packs.WebhookTrigger(t.Context(), "push")
		requireCode(t, attune.CodeNotFound, err, `"push"`)
		action, err := b.packs.Action(t.Context(), deploy)
		require.NoError(t, err)
		require.False(t, action.Enabled)
		rule, err := b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.False(t, rule.Enabled)
		requireCode(t, attune.CodeConflict, b.packs.SetRuleEnabled(t.Context(), onPush, true, ada), onPush)
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))

		results := b.install(t, demoPack())
		require.Equal(t, 1, results[0].Rules)
		rule, err = b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.True(t, rule.Enabled)
		_, err = b.packs.WebhookTrigger(t.Context(), "push")
		require.NoError(t, err)
	})
}

func TestPacks_InstallAcrossPacks(t *testing.T) {
	t.Parallel()

	t.Run("rules refer to packs that come later", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first := attune.Pack{Name: "alpha", Digest: "1", Rules: []attune.Rule{
			{Ref: "alpha.rule", Enabled: true, Trigger: "omega.happened", Action: "omega.act"},
		}}
		last := attune.Pack{
			Name: "omega", Digest: "1", Triggers: []attune.Trigger{{Ref: "omega.happened"}},
			Actions: []attune.Action{{Ref: "omega.act", Command: []string{"true"}, Timeout: time.Second, Pool: "default"}},
		}
		b.install(t, first, last)
		rule, err := b.packs.Rule(t.Context(), "alpha.rule")
		require.NoError(t, err)
		require.EqualValues(t, "omega.act", rule.Action)
	})

	t.Run("a rule without its action installs nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		broken := attune.Pack{Name: "broken", Digest: "1", Triggers: []attune.Trigger{{Ref: "broken.happened"}}, Rules: []attune.Rule{
			{Ref: "broken.rule", Enabled: true, Trigger: "broken.happened", Action: "nobody.knows"},
		}}
		_, err := b.packs.Install(t.Context(), []attune.Pack{broken})
		requireCode(t, attune.CodeInvalid, err, `"broken.rule"`, `"nobody.knows"`)
		_, err = b.packs.Trigger(t.Context(), "broken.happened")
		requireCode(t, attune.CodeNotFound, err)
	})

	t.Run("a rule whose action or trigger is no longer declared is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.install(t, attune.Pack{Name: "demo", Digest: "demo-2", Triggers: demoPack().Triggers})
		late := attune.Pack{Name: "late", Digest: "1", Rules: []attune.Rule{{Ref: "late.rule", Trigger: pushed, Action: deploy}}}
		_, err := b.packs.Install(t.Context(), []attune.Pack{late})
		requireCode(t, attune.CodeInvalid, err, `"late.rule"`, deploy)

		b.install(t, attune.Pack{Name: "demo", Digest: "demo-3", Actions: demoPack().Actions})
		_, err = b.packs.Install(t.Context(), []attune.Pack{late})
		requireCode(t, attune.CodeInvalid, err, `"late.rule"`, pushed)
	})

	t.Run("a webhook key moves within one installation", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		giver, taker := demoPack(), attune.Pack{Name: "aaa", Digest: "1", Triggers: []attune.Trigger{
			{Ref: "aaa.pushed", Webhook: &attune.Webhook{Key: "push", SecretEnv: "S"}},
		}}
		_, err := b.packs.Install(t.Context(), []attune.Pack{taker})
		requireCode(t, attune.CodeConflict, err, "webhook key")

		giver.Digest, giver.Triggers[0].Webhook = "demo-2", nil
		b.install(t, taker, giver)
		trigger, err := b.packs.WebhookTrigger(t.Context(), "push")
		require.NoError(t, err)
		require.EqualValues(t, "aaa.pushed", trigger.Ref)
	})

	t.Run("two processes install at the same time", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		next := demoPack()
		next.Digest = "demo-2"
		errs := make(chan error, 8)
		for range cap(errs) {
			go func() {
				_, err := b.packs.Install(t.Context(), []attune.Pack{corePack(), next})
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
	})
}

func TestPacks_Lists(t *testing.T) {
	t.Parallel()
	b := setup(t)

	actions, err := b.packs.Actions(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, actions, 2)
	require.Greater(t, actions[0].ID, actions[1].ID, "newest first")
	next, err := b.packs.Actions(t.Context(), attune.Page{Before: int64(actions[0].ID), Limit: 1})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(actions[1:], next))

	rules, err := b.packs.Rules(t.Context(), attune.Page{Limit: 1})
	require.NoError(t, err)
	require.Len(t, rules, 1)
	triggers, err := b.packs.Triggers(t.Context(), attune.Page{})
	require.NoError(t, err)
	require.Len(t, triggers, 2)
	rules, err = b.packs.Rules(t.Context(), attune.Page{Before: int64(rules[0].ID)})
	require.NoError(t, err)
	require.Empty(t, rules)
}

// TestPacks_JSONIsKept stores documents that a jsonb column would change or refuse.
func TestPacks_JSONIsKept(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, document := range []string{
		`{"b": 1, "a": 2, "b": 3}`, `{"n": 12345678901234567890.123456789}`, `{"nul": "\u0000"}`, `{"lone": "\ud800"}`,
		`{"huge": 1e999999}`, `{ "spaces" :  true }`,
	} {
		event := attune.Event{Trigger: pushed, Source: attune.SourceAPI, Payload: json.RawMessage(document)}
		recorded, err := b.events.Record(t.Context(), event, accept)
		require.NoError(t, err, document)
		stored, err := b.events.Get(t.Context(), recorded.Event.ID)
		require.NoError(t, err, document)
		require.Equal(t, document, string(stored.Payload))
	}
}

func TestPacks_Pools(t *testing.T) {
	t.Parallel()
	b := setup(t)
	pools, err := b.packs.Pools(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"default", "small"}, pools)
	b.exec(t, `UPDATE actions SET enabled = false WHERE pool = 'small'`)
	pools, err = b.packs.Pools(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"default"}, pools)
}
