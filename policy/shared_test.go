package policy_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const deploys attune.QueueKey = "shop.deploys"

func joins(key attune.QueueKey) attune.Policy { return attune.Policy{Queue: &key} }

func TestQueueOf(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		levels []policy.Level
		want   attune.QueueKey
	}{
		{"an action without a queue owns its queue", nil, "shop.deploy"},
		{"an action joins the queue that it names", []policy.Level{level(policy.ScopeAction, "shop.deploy", joins(deploys))}, deploys},
		{"a pack names the queue of its actions", []policy.Level{level(policy.ScopePack, "shop", joins(deploys))}, deploys},
		{"an action wins over its pack", []policy.Level{
			level(policy.ScopePack, "shop", joins(deploys)), level(policy.ScopeAction, "shop.deploy", joins("ops.line")),
		}, "ops.line"},
		{"an action leaves the queue of its pack by its own name", []policy.Level{
			level(policy.ScopePack, "shop", joins(deploys)), level(policy.ScopeAction, "shop.deploy", joins("shop.deploy")),
		}, "shop.deploy"},
		{"a person wins over the pack", []policy.Level{
			level(policy.ScopeAction, "shop.deploy", joins(deploys)), person(policy.ScopeAction, "shop.deploy", joins("ops.line")),
		}, "ops.line"},
		{"a pack that the action is not of decides nothing", []policy.Level{level(policy.ScopePack, "ops", joins(deploys))}, "shop.deploy"},
		{"another action decides nothing", []policy.Level{level(policy.ScopeAction, "shop.test", joins(deploys))}, "shop.deploy"},
		{"a queue and the global scope decide nothing", []policy.Level{
			level(policy.ScopeQueue, "shop.deploy", joins(deploys)), person(policy.ScopeGlobal, "", joins(deploys)),
		}, "shop.deploy"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, policy.QueueOf("shop.deploy", tt.levels))
		})
	}
}

func TestSharedQueue(t *testing.T) {
	t.Parallel()
	hour := attune.Duration(time.Hour)
	byDefault := attune.ActionPolicy{
		WhenBusy: attune.BusyWait, MaxAttempts: 1, RetryDelay: attune.Duration(10 * time.Second), RetryPlacement: attune.RetryHold,
	}
	action := func(id attune.ActionID, ref attune.Ref, change func(*attune.ActionPolicy)) attune.ActionPolicy {
		a := byDefault
		a.Action, a.Ref = id, ref
		if change != nil {
			change(&a)
		}
		return a
	}
	queue := func(change func(*attune.QueuePolicy)) attune.QueuePolicy {
		p := attune.QueuePolicy{Limit: 1, Across: attune.AcrossStrict, MaxQueued: 10_000, Overflow: attune.OverflowReject}
		change(&p)
		return p
	}
	members := []policy.Member{{Action: 9, Ref: "ops.restart"}, {Action: 4, Ref: "shop.deploy"}}

	tests := []struct {
		name   string
		levels []policy.Level
		want   attune.QueuePolicy
	}{
		{
			name: "without documents, one at a time in one line, with the actions by id",
			want: queue(func(p *attune.QueuePolicy) {
				p.Actions = []attune.ActionPolicy{action(4, "shop.deploy", nil), action(9, "ops.restart", nil)}
			}),
		},
		{
			name: "the limit of a pack or of everything bounds neither the queue nor an action in it",
			levels: []policy.Level{
				level(policy.ScopePack, "shop", limit(7)), person(policy.ScopePack, "ops", limit(8)), person(policy.ScopeGlobal, "", limit(9)),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Actions = []attune.ActionPolicy{action(4, "shop.deploy", nil), action(9, "ops.restart", nil)}
			}),
		},
		{
			name: "the queue has the limit of its document, and an action that of its own, which lets lanes pass",
			levels: []policy.Level{
				level(policy.ScopeQueue, string(deploys), limit(5)), level(policy.ScopeAction, "shop.deploy", limit(2)),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Limit, p.Across = 5, attune.AcrossSkip
				p.Actions = []attune.ActionPolicy{
					action(4, "shop.deploy", func(a *attune.ActionPolicy) { a.Limit = new(2) }), action(9, "ops.restart", nil),
				}
			}),
		},
		{
			name: "a person wins over the pack that declares the queue",
			levels: []policy.Level{
				level(policy.ScopeQueue, string(deploys), attune.Policy{Limit: new(5), MaxQueued: new(50)}),
				person(policy.ScopeQueue, string(deploys), limit(3)),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Limit, p.MaxQueued = 3, 50
				p.Actions = []attune.ActionPolicy{action(4, "shop.deploy", nil), action(9, "ops.restart", nil)}
			}),
		},
		{
			name: "the fields of the queue come from the queue, its own pack, or everything, and never from an action or its pack",
			levels: []policy.Level{
				level(policy.ScopeQueue, string(deploys), attune.Policy{Overflow: new(attune.OverflowDropOldest)}),
				level(policy.ScopePack, "shop", attune.Policy{MaxQueued: new(20), Across: new(attune.AcrossSkip)}),
				level(policy.ScopePack, "ops", attune.Policy{MaxQueued: new(30), QueueTimeout: new(attune.Duration(1))}),
				level(policy.ScopeAction, "shop.deploy", attune.Policy{MaxQueued: new(40), Across: new(attune.AcrossStrict)}),
				person(policy.ScopeGlobal, "", attune.Policy{QueueTimeout: &hour, MaxQueued: new(60)}),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Overflow, p.MaxQueued, p.Across, p.QueueTimeout = attune.OverflowDropOldest, 20, attune.AcrossSkip, hour
				p.Actions = []attune.ActionPolicy{action(4, "shop.deploy", nil), action(9, "ops.restart", nil)}
			}),
		},
		{
			name: "the other fields of an action come from the action, the queue, its pack, or everything",
			levels: []policy.Level{
				level(policy.ScopeAction, "shop.deploy", attune.Policy{MaxAttempts: new(2)}),
				level(policy.ScopeQueue, string(deploys), attune.Policy{MaxAttempts: new(3), RetryPlacement: new(attune.RetryPark)}),
				level(policy.ScopePack, "ops", attune.Policy{MaxAttempts: new(4), RetryPlacement: new(attune.RetryBack), RetryDelay: &hour}),
				person(policy.ScopeGlobal, "", attune.Policy{WhenBusy: new(attune.BusySkip)}),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Actions = []attune.ActionPolicy{
					action(4, "shop.deploy", func(a *attune.ActionPolicy) {
						a.MaxAttempts, a.RetryPlacement, a.WhenBusy = 2, attune.RetryPark, attune.BusySkip
					}),
					action(9, "ops.restart", func(a *attune.ActionPolicy) {
						a.MaxAttempts, a.RetryPlacement, a.WhenBusy, a.RetryDelay = 3, attune.RetryPark, attune.BusySkip, hour
					}),
				}
			}),
		},
		{
			name: "the key of one action lets lanes pass, and the queue keeps its limit",
			levels: []policy.Level{
				level(policy.ScopeAction, "shop.deploy", attune.Policy{Key: new("parameters.site"), MaxQueuedPerKey: new(3)}),
				level(policy.ScopePack, "ops", attune.Policy{LimitPerKey: new(4), MaxQueuedPerKey: new(5)}),
			},
			want: queue(func(p *attune.QueuePolicy) {
				p.Across = attune.AcrossSkip
				p.Actions = []attune.ActionPolicy{
					action(4, "shop.deploy", func(a *attune.ActionPolicy) { a.LimitPerKey, a.MaxQueuedPerKey = new(1), new(3) }),
					action(9, "ops.restart", nil), // no key, so its lane has no limits
				}
			}),
		},
		{
			name:   "a key of the queue is for all actions, and without a limit the queue has no total",
			levels: []policy.Level{level(policy.ScopeQueue, string(deploys), attune.Policy{Key: new("parameters.site")})},
			want: queue(func(p *attune.QueuePolicy) {
				p.Limit, p.Across = attune.MaxLimit, attune.AcrossSkip
				p.Actions = []attune.ActionPolicy{
					action(4, "shop.deploy", func(a *attune.ActionPolicy) { a.LimitPerKey = new(1) }),
					action(9, "ops.restart", func(a *attune.ActionPolicy) { a.LimitPerKey = new(1) }),
				}
			}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, cmp.Diff(tt.want, policy.NewIndex(tt.levels).SharedQueue(deploys, members)))
		})
	}
}

func TestInShared_NamesTheSources(t *testing.T) {
	t.Parallel()
	levels := []policy.Level{
		level(policy.ScopeQueue, string(deploys), limit(5)), level(policy.ScopePack, "shop", attune.Policy{Queue: new(deploys), Limit: new(8), MaxQueued: new(20)}),
	}
	key, e := policy.Of("shop.deploy", levels)
	require.Equal(t, deploys, key)
	require.Equal(t, 5, e.Policy.Limit)
	require.Equal(t, "queue shop.deploys", e.From["limit"].String())
	require.Equal(t, "pack shop", e.From["max_queued"].String())
	require.Equal(t, "pack shop", e.From["queue"].String())
	require.Equal(t, deploys, *e.Policy.Queue)

	_, e = policy.Of("shop.deploy", append(levels, level(policy.ScopeAction, "shop.deploy", limit(2))))
	require.Equal(t, 2, e.Policy.Limit)
	require.Equal(t, "action shop.deploy", e.From["limit"].String())

	key, e = policy.Of("shop.deploy", append(levels, level(policy.ScopeAction, "shop.deploy", joins("shop.deploy"))))
	require.Equal(t, attune.QueueKey("shop.deploy"), key)
	require.Nil(t, e.Policy.Queue)
	require.Equal(t, 8, e.Policy.Limit)
}

// Whatever the documents say, a shared queue has one entry per action, and no limit of an action but that of its own documents.
func TestSharedQueue_AnyDocuments(t *testing.T) {
	t.Parallel()
	members := []policy.Member{{Action: 2, Ref: "b.b"}, {Action: 1, Ref: "a.a"}}
	rapid.Check(t, func(t *rapid.T) {
		levels := genLevels().Draw(t, "levels")
		for i := range levels {
			if levels[i].Scope == policy.ScopeAction {
				levels[i].Ref = rapid.SampledFrom([]string{"a.a", "b.b"}).Draw(t, "action")
			}
			if levels[i].Scope == policy.ScopeQueue {
				levels[i].Ref = "a.line"
			}
		}
		seen := map[policy.Source]bool{}
		levels = slices.DeleteFunc(levels, func(l policy.Level) bool {
			source := policy.Source{Scope: l.Scope, Ref: l.Ref, Origin: l.Origin}
			twice := seen[source]
			seen[source] = true
			return twice
		})
		p := policy.NewIndex(levels).SharedQueue("a.line", members)
		require.Len(t, p.Actions, 2)
		for i, member := range []policy.Member{members[1], members[0]} {
			require.Equal(t, member.Action, p.Actions[i].Action)
			ofAction := policy.Resolve(keep(levels, policy.ScopeAction, string(member.Ref))...)
			if ofAction.From["limit"].Scope == policy.ScopeDefault {
				require.Nil(t, p.Actions[i].Limit)
			} else {
				require.Equal(t, ofAction.Policy.Limit, *p.Actions[i].Limit)
			}
		}
		ofQueue := policy.Resolve(keep(levels, policy.ScopeQueue, "a.line")...)
		require.Equal(t, ofQueue.Policy.Limit, p.Limit)
	})
}

func keep(levels []policy.Level, scope policy.Scope, ref string) (kept []policy.Level) {
	for _, l := range levels {
		if l.Scope == scope && l.Ref == ref {
			kept = append(kept, l)
		}
	}
	return kept
}

func TestCheckScope(t *testing.T) {
	t.Parallel()
	for scope, allowed := range map[policy.Scope]bool{
		policy.ScopeAction: true, policy.ScopePack: true, policy.ScopeQueue: false, policy.ScopeGlobal: false,
	} {
		require.NoError(t, policy.CheckScope(scope, limit(1)))
		err := policy.CheckScope(scope, joins(deploys))
		require.Equal(t, allowed, err == nil, "%s: %v", scope, err)
		if !allowed {
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		}
	}
	require.NoError(t, policy.CheckJoined(attune.Policy{Limit: new(1), Key: new("a"), MaxAttempts: new(2)}, deploys))
	for _, p := range []attune.Policy{
		{Across: new(attune.AcrossSkip)}, {MaxQueued: new(1)}, {Overflow: new(attune.OverflowReject)}, {QueueTimeout: new(attune.Duration(0))},
	} {
		require.ErrorContains(t, policy.CheckJoined(p, deploys), "set it in the policy of the queue")
	}
}
