package postgres_test

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// setDocument sets the document of a person.
func (b *bundle) setDocument(t testing.TB, scope policy.Scope, ref string, p attune.Policy, until *time.Time) policy.Documents {
	t.Helper()
	after, err := postgres.NewPolicies(b.db).Change(t.Context(), policy.Change{
		Scope: scope, Ref: ref, Author: ada,
		Decide: func(policy.Documents, time.Time) (*policy.Draft, error) {
			return &policy.Draft{Policy: p, Until: until}, nil
		},
	})
	require.NoError(t, err)
	return after
}

func (b *bundle) removeDocument(t testing.TB, scope policy.Scope, ref string) policy.Documents {
	t.Helper()
	after, err := postgres.NewPolicies(b.db).Change(t.Context(), policy.Change{
		Scope: scope, Ref: ref, Author: ada, Decide: func(policy.Documents, time.Time) (*policy.Draft, error) { return nil, nil },
	})
	require.NoError(t, err)
	return after
}

// follow lets the queues follow every change, and returns those whose policy has changed.
func (b *bundle) follow(t testing.TB) (all []attune.Admission) {
	t.Helper()
	for {
		changed, more, err := b.queues.FollowPolicies(t.Context())
		require.NoError(t, err)
		all = append(all, changed...)
		if !more {
			return all
		}
	}
}

func TestPolicies_Change(t *testing.T) {
	t.Parallel()

	t.Run("a document has an author, a revision and an end, and survives its pack", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest, pack.Actions[0].Policy = "demo-2", &attune.Policy{Limit: new(3)}
		b.install(t, pack)
		end := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		after := b.setDocument(t, policy.ScopeAction, string(deploy), attune.Policy{Limit: new(5)}, &end)
		require.Empty(t, cmp.Diff(&policy.Stored{
			Scope: policy.ScopeAction, Ref: string(deploy), Origin: policy.OriginPerson, Policy: attune.Policy{Limit: new(5)}, Revision: 1,
			Author: &ada, Until: &end,
		}, after.Person, cmpopts.IgnoreFields(policy.Stored{}, "ID", "UpdatedAt")))
		require.WithinDuration(t, time.Now(), after.Person.UpdatedAt, time.Minute)
		require.Nil(t, after.Pack.Author)
		require.Equal(t, new(3), after.Pack.Policy.Limit)
		first := after.Person.ID

		after = b.setDocument(t, policy.ScopeAction, string(deploy), attune.Policy{Limit: new(6)}, nil)
		require.EqualValues(t, 2, after.Person.Revision)
		require.Equal(t, first, after.Person.ID)
		require.Nil(t, after.Person.Until)
		pack.Digest, pack.Actions[0].Policy = "demo-3", &attune.Policy{Limit: new(9)}
		b.install(t, pack)
		said := b.said(t)
		require.Equal(t, 6, said.Policy.Limit)
		require.Equal(t, policy.Source{Scope: policy.ScopeAction, Ref: string(deploy), Origin: policy.OriginPerson, Revision: 2}, said.From["limit"])

		require.Nil(t, b.removeDocument(t, policy.ScopeAction, string(deploy)).Person)
		require.Equal(t, 9, b.said(t).Policy.Limit)
		after = b.setDocument(t, policy.ScopeAction, string(deploy), attune.Policy{Limit: new(7)}, nil)
		require.NotEqual(t, first, after.Person.ID, "an earlier version of another document is not this one")
	})

	t.Run("documents are listed, newest first, and an ended one is not", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		store := postgres.NewPolicies(b.db)
		b.setDocument(t, policy.ScopeGlobal, "", attune.Policy{Limit: new(5)}, nil)
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(6)}, nil)
		b.setDocument(t, policy.ScopeQueue, string(queueKey), attune.Policy{Limit: new(7)}, new(time.Now().Add(-time.Second)))
		listed, err := store.List(t.Context(), attune.Page{})
		require.NoError(t, err)
		require.Len(t, listed, 2)
		require.Equal(t, policy.ScopePack, listed[0].Scope)
		next, err := store.List(t.Context(), attune.Page{Before: listed[0].ID})
		require.NoError(t, err)
		require.Equal(t, listed[1:], next)
	})

	t.Run("a reference that names nothing, and an invalid author, are refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		store := postgres.NewPolicies(b.db)
		for scope, ref := range map[policy.Scope]string{
			policy.ScopeAction: "demo.nothing", policy.ScopePack: "nothing", policy.ScopeQueue: "nothing", policy.ScopeGlobal: "demo", "team": "demo",
		} {
			_, err := store.Documents(t.Context(), scope, ref)
			requireCode(t, attune.CodeNotFound, err, ref)
			_, err = store.Change(t.Context(), policy.Change{Scope: scope, Ref: ref, Author: ada})
			requireCode(t, attune.CodeNotFound, err, ref)
		}
		_, err := store.Change(t.Context(), policy.Change{Scope: policy.ScopeGlobal})
		requireCode(t, attune.CodeInvalid, err, "principal")
		found, err := store.Documents(t.Context(), policy.ScopeQueue, string(queueKey))
		require.NoError(t, err, "the queue of an action exists before its first use")
		require.Equal(t, policy.Documents{}, found)
	})

	t.Run("changes at the same time happen one after the other", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		store := postgres.NewPolicies(b.db)
		const writers = 12
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				_, err := store.Change(t.Context(), policy.Change{
					Scope: policy.ScopeGlobal, Author: ada, Decide: func(found policy.Documents, _ time.Time) (*policy.Draft, error) {
						limit := 0
						if found.Person != nil {
							limit = *found.Person.Policy.Limit
						}
						return &policy.Draft{Policy: attune.Policy{Limit: new(limit + 1)}}, nil
					},
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		found, err := store.Documents(t.Context(), policy.ScopeGlobal, "")
		require.NoError(t, err)
		require.Equal(t, writers, *found.Person.Policy.Limit)
		require.EqualValues(t, writers, found.Person.Revision)
	})
}

func TestPolicies_KeyUses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	store := postgres.NewPolicies(b.db)
	of := func(scope policy.Scope, ref string) []policy.KeyUse {
		uses, err := store.KeyUses(t.Context(), scope, ref)
		require.NoError(t, err)
		return uses
	}
	schema := json.RawMessage(`{"type":"object"}`)
	deploys := policy.KeyUse{Action: deploy, Parameters: schema, Trigger: pushed, Payload: schema}
	require.Equal(t, []policy.KeyUse{deploys}, of(policy.ScopeAction, string(deploy)))
	require.Equal(t, []policy.KeyUse{deploys}, of(policy.ScopeQueue, string(queueKey)))
	require.Equal(t, []policy.KeyUse{deploys, {Action: notify}}, of(policy.ScopePack, "demo"))
	require.Greater(t, len(of(policy.ScopeGlobal, "")), 1)
}

func TestQueues_FollowPolicies(t *testing.T) {
	t.Parallel()

	t.Run("the queues that a document covers follow it, also idle ones, and no other does", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.follow(t)
		b.admit(t, b.created(t, deploy, 1)...)
		b.admit(t, b.created(t, notify, 1)...)
		for _, scope := range []policy.Scope{policy.ScopeQueue, policy.ScopeAction} { // the keys of queues are those of actions
			b.setDocument(t, scope, string(deploy), attune.Policy{Limit: new(len(scope))}, nil)
			changed := b.follow(t)
			require.Len(t, changed, 1, scope)
			require.Equal(t, queueKey, changed[0].Queue)
			require.Equal(t, len(scope), changed[0].Policy.Limit)
		}
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{MaxQueued: new(50)}, nil)
		require.Len(t, b.follow(t), 2)
		b.setDocument(t, policy.ScopeGlobal, "", attune.Policy{MaxAttempts: new(3)}, nil)
		changed := b.follow(t)
		require.Len(t, changed, 2)
		require.Equal(t, 50, changed[0].Policy.MaxQueued)
		require.Equal(t, 3, changed[0].Policy.Actions[0].MaxAttempts)
		require.Empty(t, b.follow(t))

		journal, err := b.queues.QueuePolicies(t.Context(), changed[0].Queue, attune.Page{})
		require.NoError(t, err)
		require.Equal(t, changed[0].Policy, journal[0])
	})

	t.Run("a queue is untold until its workflow knows the latest policy", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admit(t, b.created(t, deploy, 1)...)
		b.follow(t)
		reach := func(want policy.Reach) {
			t.Helper()
			got, err := b.queues.Reach(t.Context(), policy.ScopePack, "demo")
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
		reach(policy.Reach{Told: 1})
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(2)}, nil)
		reach(policy.Reach{NotTold: 1})
		first := b.follow(t)
		reach(policy.Reach{NotTold: 1})
		b.setDocument(t, policy.ScopePack, "demo", attune.Policy{Limit: new(3)}, nil)
		second := b.follow(t)
		require.NoError(t, b.queues.PoliciesTold(t.Context(), first))
		reach(policy.Reach{NotTold: 1})

		untold, err := b.queues.UntoldPolicies(t.Context(), 10)
		require.NoError(t, err)
		require.Empty(t, untold, "the process that has resolved the policy tells the queue")
		b.exec(t, `UPDATE untold_policies SET at = at - interval '3 seconds'`)
		untold, err = b.queues.UntoldPolicies(t.Context(), 10)
		require.NoError(t, err)
		require.Equal(t, second, untold, "that process has crashed")
		require.NoError(t, b.queues.PoliciesTold(t.Context(), untold))
		reach(policy.Reach{Told: 1})
	})

	t.Run("a new version of a pack changes its queues without an arrival, and a bad one changes nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admit(t, b.created(t, deploy, 1)...)
		b.follow(t)
		pack := demoPack()
		pack.Digest, pack.Policy = "demo-2", &attune.Policy{Limit: new(4)}
		b.install(t, pack)
		require.Equal(t, 4, b.follow(t)[0].Policy.Limit)
		pack.Digest, pack.Policy = "demo-3", nil
		b.install(t, pack)
		require.Equal(t, 1, b.follow(t)[0].Policy.Limit)
		pack.Digest, pack.Policy, pack.Rules[0].Trigger = "demo-4", &attune.Policy{Limit: new(9)}, "demo.nothing"
		_, err := b.packs.Install(t.Context(), []attune.Pack{pack})
		require.Error(t, err)
		require.Empty(t, b.follow(t))
	})

	t.Run("a document ends at its time by the database's clock, and its queues follow", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admit(t, b.created(t, deploy, 1)...)
		b.follow(t)
		b.setDocument(t, policy.ScopeGlobal, "", attune.Policy{Limit: new(8)}, new(time.Now().Add(time.Hour)))
		require.Equal(t, 8, b.follow(t)[0].Policy.Limit)
		require.Empty(t, b.follow(t))
		b.exec(t, `UPDATE policies SET until = clock_timestamp()`)
		require.Equal(t, 1, b.said(t).Policy.Limit, "no reader uses an ended document")
		changed := b.follow(t)
		require.Equal(t, 1, changed[0].Policy.Limit)
		require.EqualValues(t, 3, changed[0].Policy.Revision)
		require.Empty(t, b.policies(t))

		entries, err := postgres.NewAudit(b.db).List(t.Context(), auth.AuditFilter{}, attune.Page{})
		require.NoError(t, err)
		require.Len(t, entries, 1)
		ended := entries[0]
		require.Equal(t, "global-policy.end", ended.Action)
		require.Equal(t, &attune.Principal{Name: "attune", Method: attune.AuthSystem}, ended.Principal)
		var detail struct {
			Policy   attune.Policy
			Revision int64
			SetBy    attune.Author `json:"set_by"`
		}
		require.NoError(t, json.Unmarshal(ended.Detail, &detail))
		require.Equal(t, attune.Policy{Limit: new(8)}, detail.Policy, "what has ended is kept, with its author")
		require.Equal(t, ada, detail.SetBy)
		require.EqualValues(t, 1, detail.Revision)
	})

	t.Run("several processes share the work on many queues", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		const queues = 250
		for _, action := range b.installWide(t, queues) {
			b.admit(t, b.created(t, action, 1)...)
		}
		b.follow(t)
		b.setDocument(t, policy.ScopeGlobal, "", attune.Policy{Limit: new(8)}, nil)
		var mutex sync.Mutex
		changed := make(map[attune.QueueKey]int)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range queues {
					some, _, err := b.queues.FollowPolicies(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					mutex.Lock()
					for _, queue := range some {
						changed[queue.Queue]++
					}
					done := len(changed) == queues
					mutex.Unlock()
					if done {
						return
					}
				}
			})
		}
		wg.Wait()
		require.Len(t, changed, queues)
		for key, times := range changed {
			require.Equal(t, 1, times, key)
		}
	})
}
