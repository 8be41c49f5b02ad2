package policy_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// seat is a place where a document can stand.
type seat struct {
	scope  policy.Scope
	origin policy.Origin
}

// seats lists every place, the one that decides first in front: the rule of the package, written out.
func seats() []seat {
	return []seat{
		{policy.ScopeAction, policy.OriginPerson}, {policy.ScopeAction, policy.OriginPack},
		{policy.ScopeQueue, policy.OriginPerson}, {policy.ScopeQueue, policy.OriginPack},
		{policy.ScopePack, policy.OriginPerson}, {policy.ScopePack, policy.OriginPack},
		{policy.ScopeGlobal, policy.OriginPerson},
	}
}

// textOf returns an allowed value of a field. Values with different numbers differ, as far as the field has so many.
func textOf(field policy.Field, n int) string {
	switch field.Kind {
	case policy.Number:
		return strconv.Itoa(*field.Bounds.Least + n)
	case policy.Duration:
		return (time.Duration(n) * time.Minute).String()
	case policy.Text:
		return fmt.Sprintf("parameters.p%d", n)
	case policy.Structure:
		return field.Example
	default:
		return field.Choices[n%len(field.Choices)]
	}
}

// TestResolve_EveryFieldInEveryScope decides each field for each set of documents: all scopes, of packs and of people.
func TestResolve_EveryFieldInEveryScope(t *testing.T) {
	t.Parallel()
	places := seats()
	for _, f := range policy.Fields() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			for set := range 1 << len(places) {
				var levels []policy.Level
				want, value := policy.Source{Scope: policy.ScopeDefault}, f.JSON(policy.Defaults())
				for n, place := range places {
					if set&(1<<n) == 0 {
						continue
					}
					l := policy.Level{Scope: place.scope, Ref: "r", Origin: place.origin, Revision: int64(n + 1)}
					require.NoError(t, f.Set(&l.Policy, textOf(f, n)))
					if len(levels) == 0 {
						want = policy.Source{Scope: place.scope, Ref: "r", Origin: place.origin, Revision: int64(n + 1)}
						value = f.JSON(policy.Resolve(l).Policy)
					}
					levels = append([]policy.Level{l}, levels...)
				}
				got := policy.Resolve(levels...)
				require.Equal(t, want, got.From[f.Name], "documents %07b", set)
				require.JSONEq(t, string(value), string(f.JSON(got.Policy)), "documents %07b", set)
				for _, other := range policy.Fields() {
					if other.Name != f.Name {
						require.Equal(t, policy.ScopeDefault, got.From[other.Name].Scope, other.Name)
					}
				}
			}
		})
	}
}

func TestResolve_ActionBeforePackBeforeGlobal(t *testing.T) {
	t.Parallel()
	action := level(policy.ScopeAction, "shop.deploy", attune.Policy{Limit: new(5)})
	pack := level(policy.ScopePack, "shop", attune.Policy{Limit: new(10)})
	global := level(policy.ScopeGlobal, "", attune.Policy{Limit: new(20)})
	for name, tt := range map[string]struct {
		levels []policy.Level
		want   int
		from   policy.Scope
	}{
		"nothing":                 {nil, 1, policy.ScopeDefault},
		"action":                  {[]policy.Level{action}, 5, policy.ScopeAction},
		"pack":                    {[]policy.Level{pack}, 10, policy.ScopePack},
		"global":                  {[]policy.Level{global}, 20, policy.ScopeGlobal},
		"action and pack":         {[]policy.Level{pack, action}, 5, policy.ScopeAction},
		"action and global":       {[]policy.Level{global, action}, 5, policy.ScopeAction},
		"pack and global":         {[]policy.Level{global, pack}, 10, policy.ScopePack},
		"action, pack and global": {[]policy.Level{global, pack, action}, 5, policy.ScopeAction},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := policy.Resolve(tt.levels...)
			require.Equal(t, tt.want, got.Policy.Limit)
			require.Equal(t, tt.from, got.From["limit"].Scope)
		})
	}
}
