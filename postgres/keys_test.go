package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// key returns the key that the decision of a push reads, and the key that a direct run of the action reads. Both must be equal.
func (b *bundle) key(t *testing.T) *string {
	t.Helper()
	var key *string
	_, err := b.events.Record(t.Context(), pushEvent(), func(_ attune.Event, candidates []attune.Candidate) []attune.Decision {
		require.Len(t, candidates, 1)
		key = candidates[0].Key
		return nil
	})
	require.NoError(t, err)
	action, err := b.packs.Action(t.Context(), deploy)
	require.NoError(t, err)
	require.Equal(t, key, action.Key)
	return key
}

func TestCandidates_Key(t *testing.T) {
	t.Parallel()

	t.Run("without a policy that sets a key there is none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.Nil(t, b.key(t))
		b.policy(t, &attune.Policy{Limit: new(3)})
		b.sayGlobally(t, attune.Policy{LimitPerKey: new(3)})
		require.Nil(t, b.key(t))
	})

	t.Run("the key is that of the narrowest scope, set by a person before a pack", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		say := func(scope, ref, origin, document string) {
			t.Helper()
			author := `NULL, NULL, NULL, NULL`
			if origin == "person" {
				author = `'ada', 'token', '', ''`
			}
			b.exec(t, `INSERT INTO policies (scope, ref, origin, document, principal, auth_method, on_behalf_of, note)
				VALUES ($1, $2, $3, $4, `+author+`)`, scope, ref, origin, document)
		}
		for _, step := range []struct{ scope, ref, origin, document, want string }{
			{"global", "", "person", `{"key": "event.global"}`, "event.global"},
			{"pack", "other", "person", `{"key": "event.other"}`, "event.global"},
			{"action", "demo.notify", "pack", `{"key": "event.notify"}`, "event.global"},
			{"queue", "demo.notify", "pack", `{"key": "event.notify"}`, "event.global"},
			{"pack", "demo", "pack", `{"key": "event.pack"}`, "event.pack"},
			{"pack", "demo", "person", `{"limit": 3}`, "event.pack"},
			{"queue", "demo.deploy", "pack", `{"key": "event.queue", "limit": 2}`, "event.queue"},
			{"action", "demo.deploy", "pack", `{"key": "parameters.action"}`, "parameters.action"},
			{"action", "demo.deploy", "person", `{"key": "parameters.person"}`, "parameters.person"},
		} {
			say(step.scope, step.ref, step.origin, step.document)
			require.Equal(t, new(step.want), b.key(t), "%+v", step)
		}
	})

	t.Run("each candidate has the key of its own action", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest, pack.Policy = "demo-2", &attune.Policy{Key: new("event.pack")}
		pack.Actions[1].Policy = &attune.Policy{Key: new("parameters.channel")}
		rule := pack.Rules[0]
		rule.Ref, rule.Action = "demo.on-push-too", notify
		pack.Rules = append(pack.Rules, rule)
		b.install(t, pack)
		keys := map[attune.Ref]*string{}
		_, err := b.events.Record(t.Context(), pushEvent(), func(_ attune.Event, candidates []attune.Candidate) []attune.Decision {
			for _, c := range candidates {
				keys[c.Action.Ref] = c.Key
			}
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, map[attune.Ref]*string{deploy: new("event.pack"), notify: new("parameters.channel")}, keys)
	})
}
