package policy_test

import (
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// genPolicy draws any document; each field is set or nil.
func genPolicy() *rapid.Generator[attune.Policy] {
	return rapid.Custom(func(t *rapid.T) (p attune.Policy) {
		for _, field := range policy.Fields() {
			if !rapid.Bool().Draw(t, "sets "+field.Name) {
				continue
			}
			if err := field.Set(&p, genText(t, field)); err != nil {
				t.Fatalf("set %s: %s", field.Name, err)
			}
		}
		return p
	})
}

// genText draws the text of a value that the field allows.
func genText(t *rapid.T, field policy.Field) string {
	switch field.Kind {
	case policy.Number:
		return strconv.Itoa(rapid.IntRange(*field.Bounds.Least, *field.Bounds.Most).Draw(t, field.Name))
	case policy.Duration:
		return (time.Duration(rapid.IntRange(0, 3600).Draw(t, field.Name)) * time.Second).String()
	case policy.Text:
		return rapid.SampledFrom([]string{"parameters.a", "event.b"}).Draw(t, field.Name)
	default:
		return rapid.SampledFrom(field.Choices).Draw(t, field.Name)
	}
}

// genLevels draws levels whose scopes, refs or origins collide often. The database has one document per scope, ref and origin.
func genLevels() *rapid.Generator[[]policy.Level] {
	scopes := []policy.Scope{policy.ScopeAction, policy.ScopeQueue, policy.ScopePack, policy.ScopeGlobal, policy.ScopeDefault, "team"}
	return rapid.SliceOfNDistinct(rapid.Custom(func(t *rapid.T) policy.Level {
		return policy.Level{
			Scope:  rapid.SampledFrom(scopes).Draw(t, "scope"),
			Ref:    rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "ref"),
			Origin: rapid.SampledFrom([]policy.Origin{policy.OriginPack, policy.OriginPerson, "", "x"}).Draw(t, "origin"),
			Policy: genPolicy().Draw(t, "policy"),
		}
	}), 0, 8, func(l policy.Level) policy.Source { return policy.Source{Scope: l.Scope, Ref: l.Ref, Origin: l.Origin} })
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

// The oracle applies the documents as JSON, one after the other: the widest scope first, and within a scope the pack before the
// person. A later document overwrites the fields that it sets.
func TestResolve_NarrowestWinsPersonsFirst(t *testing.T) {
	t.Parallel()
	scopes := []policy.Scope{policy.ScopeGlobal, policy.ScopePack, policy.ScopeQueue, policy.ScopeAction}
	rapid.Check(t, func(t *rapid.T) {
		values, sources := fieldsOf(t, policy.Defaults()), map[string]policy.Source{}
		for name := range values {
			sources[name] = policy.Source{Scope: policy.ScopeDefault}
		}
		var levels []policy.Level
		for _, scope := range scopes {
			for _, origin := range []policy.Origin{policy.OriginPack, policy.OriginPerson} {
				if !rapid.Bool().Draw(t, string(scope)+" by "+string(origin)) {
					continue
				}
				l := policy.Level{Scope: scope, Ref: "r", Origin: origin, Policy: genPolicy().Draw(t, "policy")}
				levels = append(levels, l)
				for name, value := range fieldsOf(t, l.Policy) {
					values[name], sources[name] = value, policy.Source{Scope: scope, Ref: "r", Origin: origin}
				}
			}
		}
		if sources["key"].Scope != policy.ScopeDefault {
			for name, value := range map[string]string{"limit": "5000", "limit_per_key": "1", "across": `"skip"`} {
				if sources[name].Scope == policy.ScopeDefault {
					values[name] = value
				}
			}
		}
		got := policy.Resolve(rapid.Permutation(levels).Draw(t, "shuffled")...)
		decided := fieldsOf(t, got.Policy)
		require.Empty(t, cmp.Diff(values, decided))
		require.Empty(t, cmp.Diff(policy.Provenance(sources), got.From))
	})
}

// The effective policy must be valid, and its JSON must read back as a document with every field.
func TestResolve_YieldsAPolicyThatIsAllowed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		levels := genLevels().Draw(t, "levels")
		encoded, err := json.Marshal(policy.Resolve(levels...).Policy)
		require.NoError(t, err)
		var document attune.Policy
		require.NoError(t, json.Unmarshal(encoded, &document), "an effective policy reads as a document")
		require.NoError(t, policy.Validate(document))
		unset := 0
		for _, value := range fieldsOf(t, policy.Resolve(levels...).Policy) {
			if value == "null" {
				unset++
			}
		}
		require.Len(t, fieldsOf(t, document), len(policy.Fields())-unset, "every other field is set")
		require.LessOrEqual(t, unset, 4, "only a key, the limits per key and a shared queue can be unset")
		for _, l := range levels {
			require.NoError(t, policy.Validate(l.Policy))
		}
	})
}

// fieldsOf returns the JSON value of each field of a document or an effective policy.
func fieldsOf(t *rapid.T, document any) map[string]string {
	encoded, err := json.Marshal(document)
	require.NoError(t, err)
	var raw map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(encoded, &raw))
	fields := make(map[string]string, len(raw))
	for name, value := range raw {
		fields[name] = string(value)
	}
	return fields
}
