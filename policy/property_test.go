package policy_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// genPolicy draws any policy, with each field said or not.
func genPolicy() *rapid.Generator[attune.Policy] {
	overflow := rapid.SampledFrom([]attune.Overflow{attune.OverflowReject, attune.OverflowDropOldest})
	timeout := rapid.Map(rapid.IntRange(0, 3600), func(s int) attune.Duration {
		return attune.Duration(time.Duration(s) * time.Second)
	})
	placement := rapid.SampledFrom([]attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark})
	return rapid.Custom(func(t *rapid.T) attune.Policy {
		return attune.Policy{
			Limit:        rapid.Ptr(rapid.IntRange(0, attune.MaxLimit), true).Draw(t, "limit"),
			MaxQueued:    rapid.Ptr(rapid.IntRange(1, attune.MaxQueuedLimit), true).Draw(t, "max_queued"),
			Overflow:     rapid.Ptr(overflow, true).Draw(t, "overflow"),
			QueueTimeout: rapid.Ptr(timeout, true).Draw(t, "queue_timeout"),

			MaxAttempts:    rapid.Ptr(rapid.IntRange(1, attune.MaxAttempts), true).Draw(t, "max_attempts"),
			RetryDelay:     rapid.Ptr(timeout, true).Draw(t, "retry_delay"),
			RetryPlacement: rapid.Ptr(placement, true).Draw(t, "retry_placement"),
		}
	})
}

// genLevels draws levels with scopes and refs that collide often.
func genLevels() *rapid.Generator[[]policy.Level] {
	scopes := []policy.Scope{policy.ScopeAction, policy.ScopePack, policy.ScopeGlobal, policy.ScopeDefault, "team"}
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Level {
		return policy.Level{
			Scope:  rapid.SampledFrom(scopes).Draw(t, "scope"),
			Ref:    rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "ref"),
			Policy: genPolicy().Draw(t, "policy"),
		}
	}), 0, 8)
}

func TestResolve_OrderOfArgumentsDoesNotMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		levels := genLevels().Draw(t, "levels")
		shuffled := rapid.Permutation(levels).Draw(t, "shuffled")
		if diff := cmp.Diff(policy.Resolve(levels...), policy.Resolve(shuffled...)); diff != "" {
			t.Fatalf("another order gives another answer: %s", diff)
		}
	})
}

// The oracle asks the scopes one by one, the way the rule is written down.
func TestResolve_NarrowestWinsAndEveryFieldIsDecided(t *testing.T) {
	t.Parallel()
	scopes := []policy.Scope{policy.ScopeAction, policy.ScopePack, policy.ScopeGlobal}
	rapid.Check(t, func(t *rapid.T) {
		said := map[policy.Scope]attune.Policy{}
		var levels []policy.Level
		for _, scope := range scopes {
			if rapid.Bool().Draw(t, "has "+string(scope)) {
				said[scope] = genPolicy().Draw(t, string(scope))
				levels = append(levels, policy.Level{Scope: scope, Ref: "r", Policy: said[scope]})
			}
		}
		want := policy.Resolve()
		for _, scope := range []policy.Scope{policy.ScopeGlobal, policy.ScopePack, policy.ScopeAction} {
			overlay(&want, said[scope], policy.Source{Scope: scope, Ref: "r"})
		}
		require.Empty(t, cmp.Diff(want, policy.Resolve(levels...)))
		require.NoError(t, attune.Policy{
			Limit: &want.Policy.Limit, MaxQueued: &want.Policy.MaxQueued,
			Overflow: &want.Policy.Overflow, QueueTimeout: &want.Policy.QueueTimeout,
			MaxAttempts: &want.Policy.Retry.MaxAttempts, RetryDelay: &want.Policy.Retry.Delay,
			RetryPlacement: &want.Policy.Retry.Placement,
		}.Validate())
	})
}

// overlay writes what p says over e.
func overlay(e *policy.Effective, p attune.Policy, source policy.Source) {
	if p.Limit != nil {
		e.Policy.Limit, e.From.Limit = *p.Limit, source
	}
	if p.MaxQueued != nil {
		e.Policy.MaxQueued, e.From.MaxQueued = *p.MaxQueued, source
	}
	if p.Overflow != nil {
		e.Policy.Overflow, e.From.Overflow = *p.Overflow, source
	}
	if p.QueueTimeout != nil {
		e.Policy.QueueTimeout, e.From.QueueTimeout = *p.QueueTimeout, source
	}
	if p.MaxAttempts != nil {
		e.Policy.Retry.MaxAttempts, e.From.MaxAttempts = *p.MaxAttempts, source
	}
	if p.RetryDelay != nil {
		e.Policy.Retry.Delay, e.From.RetryDelay = *p.RetryDelay, source
	}
	if p.RetryPlacement != nil {
		e.Policy.Retry.Placement, e.From.RetryPlacement = *p.RetryPlacement, source
	}
}
