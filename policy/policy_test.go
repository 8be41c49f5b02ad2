package policy_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func limit(n int) attune.Policy { return attune.Policy{Limit: new(n)} }

func level(scope policy.Scope, ref string, p attune.Policy) policy.Level {
	return policy.Level{Scope: scope, Ref: ref, Origin: policy.OriginPack, Policy: p}
}

// person returns a level that a person has set.
func person(scope policy.Scope, ref string, p attune.Policy) policy.Level {
	return policy.Level{Scope: scope, Ref: ref, Origin: policy.OriginPerson, Policy: p}
}

func TestResolve(t *testing.T) {
	t.Parallel()

	byDefault := policy.Source{Scope: policy.ScopeDefault}
	byGlobal := policy.Source{Scope: policy.ScopeGlobal, Origin: policy.OriginPerson}
	byPack := policy.Source{Scope: policy.ScopePack, Ref: "demo", Origin: policy.OriginPack}
	byQueue := policy.Source{Scope: policy.ScopeQueue, Ref: "demo.line", Origin: policy.OriginPack}
	byAction := policy.Source{Scope: policy.ScopeAction, Ref: "demo.deploy", Origin: policy.OriginPack}
	onlyLimit := func(n int, from policy.Source) policy.Effective {
		e := policy.Resolve()
		e.Policy.Limit, e.From["limit"] = n, from
		return e
	}

	tests := []struct {
		name   string
		levels []policy.Level
		want   policy.Effective
	}{
		{
			name: "without levels every field has its default",
			want: policy.Effective{
				Policy: attune.EffectivePolicy{
					Limit: 1, Across: attune.AcrossStrict, WhenBusy: attune.BusyWait, MaxQueued: 10_000, Overflow: attune.OverflowReject,
					MaxAttempts: 1, RetryDelay: attune.Duration(10 * time.Second), RetryPlacement: attune.RetryHold,
				},
				From: policy.Provenance{
					"limit": byDefault, "key": byDefault, "limit_per_key": byDefault, "across": byDefault, "queue": byDefault, "when_busy": byDefault,
					"max_queued_per_key": byDefault, "max_queued": byDefault, "overflow": byDefault, "queue_timeout": byDefault,
					"max_attempts": byDefault, "retry_delay": byDefault, "retry_placement": byDefault,
				},
			},
		},
		{
			name: "each field comes from the narrowest scope that sets it",
			levels: []policy.Level{
				person(policy.ScopeGlobal, "", attune.Policy{
					Limit: new(50), MaxQueued: new(500), QueueTimeout: new(attune.Duration(time.Hour)),
					MaxAttempts: new(3), RetryPlacement: new(attune.RetryPark),
				}),
				level(policy.ScopePack, "demo", attune.Policy{
					Limit: new(5), QueueTimeout: new(attune.Duration(time.Minute)),
					MaxAttempts: new(5), RetryDelay: new(attune.Duration(0)),
				}),
				level(policy.ScopeAction, "demo.deploy", attune.Policy{Limit: new(2), RetryPlacement: new(attune.RetryBack)}),
			},
			want: policy.Effective{
				Policy: attune.EffectivePolicy{
					Limit: 2, Across: attune.AcrossStrict, WhenBusy: attune.BusyWait, MaxQueued: 500, Overflow: attune.OverflowReject, QueueTimeout: attune.Duration(time.Minute),
					MaxAttempts: 5, RetryPlacement: attune.RetryBack,
				},
				From: policy.Provenance{
					"limit": byAction, "key": byDefault, "limit_per_key": byDefault, "across": byDefault, "queue": byDefault, "when_busy": byDefault,
					"max_queued_per_key": byDefault, "max_queued": byGlobal, "overflow": byDefault, "queue_timeout": byPack,
					"max_attempts": byPack, "retry_delay": byPack, "retry_placement": byAction,
				},
			},
		},
		{
			name:   "a pack wins over the global scope",
			levels: []policy.Level{level(policy.ScopeGlobal, "", limit(7)), level(policy.ScopePack, "demo", limit(3))},
			want:   onlyLimit(3, byPack),
		},
		{
			name: "a queue wins over its pack, and an action over its queue",
			levels: []policy.Level{
				level(policy.ScopePack, "demo", attune.Policy{Limit: new(3), MaxAttempts: new(3)}),
				level(policy.ScopeQueue, "demo.line", attune.Policy{Limit: new(4), MaxAttempts: new(4)}),
				level(policy.ScopeAction, "demo.deploy", limit(5)),
			},
			want: func() policy.Effective {
				e := onlyLimit(5, byAction)
				e.Policy.MaxAttempts, e.From["max_attempts"] = 4, byQueue
				return e
			}(),
		},
		{
			name: "a person wins over the pack, field by field",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", attune.Policy{Limit: new(3), MaxAttempts: new(3)}),
				person(policy.ScopeAction, "demo.deploy", limit(9)),
			},
			want: func() policy.Effective {
				e := onlyLimit(9, policy.Source{Scope: policy.ScopeAction, Ref: "demo.deploy", Origin: policy.OriginPerson})
				e.Policy.MaxAttempts, e.From["max_attempts"] = 3, byAction
				return e
			}(),
		},
		{
			name: "a person of a wider scope changes nothing",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", limit(3)), person(policy.ScopePack, "demo", limit(9)),
			},
			want: onlyLimit(3, byAction),
		},
		{
			name: "a lower value of a wider scope changes nothing",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", limit(100)), level(policy.ScopeGlobal, "", limit(1)),
			},
			want: onlyLimit(100, byAction),
		},
		{
			name: "a limit of zero counts as set",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", limit(0)), level(policy.ScopePack, "demo", limit(9)),
			},
			want: onlyLimit(0, byAction),
		},
		{
			name: "a queue timeout of zero wins over a wider scope",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", attune.Policy{QueueTimeout: new(attune.Duration(0))}),
				level(policy.ScopePack, "demo", attune.Policy{QueueTimeout: new(attune.Duration(time.Minute))}),
			},
			want: func() policy.Effective {
				e := policy.Resolve()
				e.From["queue_timeout"] = byAction
				return e
			}(),
		},
		{
			name: "a level that sets the default value is the source",
			levels: []policy.Level{
				level(policy.ScopePack, "demo", attune.Policy{Overflow: new(attune.OverflowReject)}),
			},
			want: func() policy.Effective {
				e := policy.Resolve()
				e.From["overflow"] = byPack
				return e
			}(),
		},
		{
			name:   "a key makes one at a time the default per value, not in total",
			levels: []policy.Level{level(policy.ScopePack, "demo", attune.Policy{Key: new("parameters.tenant")})},
			want: func() policy.Effective {
				e := policy.Resolve()
				e.Policy.Key, e.Policy.Limit, e.Policy.LimitPerKey = new("parameters.tenant"), attune.MaxLimit, new(1)
				e.Policy.Across, e.From["key"] = attune.AcrossSkip, byPack
				return e
			}(),
		},
		{
			name: "what a scope sets beside a key stays",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", attune.Policy{Key: new("parameters.tenant"), LimitPerKey: new(3)}),
				level(policy.ScopePack, "demo", attune.Policy{Limit: new(10), Across: new(attune.AcrossStrict)}),
			},
			want: func() policy.Effective {
				e := policy.Resolve()
				e.Policy.Key, e.Policy.Limit, e.Policy.LimitPerKey = new("parameters.tenant"), 10, new(3)
				e.From["key"], e.From["limit_per_key"], e.From["limit"], e.From["across"] = byAction, byAction, byPack, byPack
				return e
			}(),
		},
		{
			name: "an empty level decides nothing",
			levels: []policy.Level{
				level(policy.ScopeAction, "demo.deploy", attune.Policy{}), level(policy.ScopePack, "demo", limit(4)),
			},
			want: onlyLimit(4, byPack),
		},
		{
			name:   "of two levels of a scope, the lower ref wins",
			levels: []policy.Level{level(policy.ScopePack, "other", limit(1)), level(policy.ScopePack, "demo", limit(5))},
			want:   onlyLimit(5, byPack),
		},
		{
			name:   "levels of unknown scopes are ignored",
			levels: []policy.Level{level("team", "a", limit(8)), level(policy.ScopeDefault, "", limit(8))},
			want:   policy.Resolve(),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, cmp.Diff(tt.want, policy.Resolve(tt.levels...)))
		})
	}
}

func TestResolve_LeavesItsArgumentsAlone(t *testing.T) {
	t.Parallel()
	levels := []policy.Level{level(policy.ScopeGlobal, "", limit(7)), level(policy.ScopeAction, "demo.deploy", limit(3))}
	policy.Resolve(levels...)
	require.Equal(t, policy.ScopeGlobal, levels[0].Scope)
	require.Equal(t, policy.ScopeAction, levels[1].Scope)
}

func TestSource_String(t *testing.T) {
	t.Parallel()
	require.Equal(t, "action demo.deploy", policy.Source{Scope: policy.ScopeAction, Ref: "demo.deploy"}.String())
	require.Equal(t, "pack demo", policy.Source{Scope: policy.ScopePack, Ref: "demo"}.String())
	require.Equal(t, "pack demo", policy.Source{Scope: policy.ScopePack, Ref: "demo", Origin: policy.OriginPack}.String())
	require.Equal(t, "pack demo (set by a person)", policy.Source{Scope: policy.ScopePack, Ref: "demo", Origin: policy.OriginPerson}.String())
	require.Equal(t, "global", policy.Source{Scope: policy.ScopeGlobal, Origin: policy.OriginPerson}.String())
	require.Equal(t, "default", policy.Source{Scope: policy.ScopeDefault}.String())
}

func TestEffective_JSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(policy.Resolve(level(policy.ScopePack, "demo", limit(3))))
	require.NoError(t, err)
	require.JSONEq(t, `{
		"policy": {"limit": 3, "key": null, "limit_per_key": null, "across": "strict", "queue": null, "when_busy": "wait", "max_queued": 10000,
			"max_queued_per_key": null, "overflow": "reject", "queue_timeout": "0s",
			"max_attempts": 1, "retry_delay": "10s", "retry_placement": "hold"},
		"from": {
			"limit": {"scope": "pack", "ref": "demo", "origin": "pack"}, "max_queued": {"scope": "default"},
			"key": {"scope": "default"}, "limit_per_key": {"scope": "default"}, "across": {"scope": "default"},
			"queue": {"scope": "default"}, "when_busy": {"scope": "default"}, "max_queued_per_key": {"scope": "default"},
			"overflow": {"scope": "default"}, "queue_timeout": {"scope": "default"},
			"max_attempts": {"scope": "default"}, "retry_delay": {"scope": "default"}, "retry_placement": {"scope": "default"}
		}
	}`, string(got))
}
