package policy_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

func field(t *testing.T, name string) policy.Field {
	t.Helper()
	for _, f := range policy.Fields() {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no field %q", name)
	return policy.Field{}
}

// names returns the JSON keys of a struct, in order.
func names(of any) []string {
	var all []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		all = append(all, name)
	}
	return all
}

// The list, the document and the effective policy must name the same fields in the same order.
func TestFields_AreThoseOfTheTypes(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, f := range policy.Fields() {
		listed = append(listed, f.Name)
		require.NotEmpty(t, f.Doc, f.Name)
		require.NotEmpty(t, f.Allowed, f.Name)
	}
	require.Equal(t, names(attune.Policy{}), append(slices.Clone(listed), "rate", "quota"), "rates and quotas add up: they are no fields")
	require.Equal(t, names(attune.EffectivePolicy{}), listed)
}

// Each accessor must reach the field of its own name: a document with one field has one JSON key, and changes one effective field.
func TestFields_ReachTheirOwnField(t *testing.T) {
	t.Parallel()
	for _, f := range policy.Fields() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			text := "1h17m0s"
			switch f.Kind {
			case policy.Number:
				text = strconv.Itoa(*f.Bounds.Most)
			case policy.Choice:
				text = f.Choices[len(f.Choices)-1]
			case policy.Text:
				text = "parameters.tenant"
			case policy.Duration:
			}
			require.NotEqual(t, f.Default, text)
			var p attune.Policy
			require.NoError(t, f.Set(&p, text))
			document, err := json.Marshal(p)
			require.NoError(t, err)
			var fields map[string]any
			require.NoError(t, json.Unmarshal(document, &fields))
			require.Len(t, fields, 1)
			require.Contains(t, fields, f.Name)

			before, after := policy.Resolve(), policy.Resolve(level(policy.ScopePack, "demo", p))
			for _, other := range policy.Fields() {
				same := string(other.JSON(before.Policy)) == string(other.JSON(after.Policy))
				follows := f.Name == "key" && (other.Name == "limit" || other.Name == "limit_per_key" || other.Name == "across")
				require.Equal(t, other.Name != f.Name && !follows, same, other.Name)
			}
			require.Equal(t, text, strings.Trim(string(f.JSON(after.Policy)), `"`))
		})
	}
}

func TestField_Set(t *testing.T) {
	t.Parallel()
	refused := map[string]struct{ field, text, message string }{
		"a limit below the range":     {"limit", "-1", "policy limit -1: use 0 (grants nothing) to 5000"},
		"a limit above the range":     {"limit", "5001", "policy limit 5001: use 0 (grants nothing) to 5000"},
		"a text that is not a number": {"max_queued", "1.5", "max_queued: 1.5 is not a whole number"},
		"an unknown choice":           {"overflow", "wait", `policy overflow "wait": use "reject" or "drop_oldest"`},
		"an empty choice":             {"retry_placement", "", `policy retry_placement "": use "hold", "back" or "park"`},
		"a duration without a unit":   {"queue_timeout", "5", `queue_timeout: duration "5": use a number with a unit, such as 30s, 5m or 1h30m`},
		"a negative duration":         {"queue_timeout", "-1ns", "policy queue_timeout -1ns: use 0 (for ever) or more"},
		"a duration above the range":  {"retry_delay", "24h1ns", "policy retry_delay 24h0m0.000000001s: use 0s to 24h0m0s"},
		"zero attempts":               {"max_attempts", "0", "policy max_attempts 0: use 1 (no retry) to 100"},
	}
	for name, tt := range refused {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			err := field(t, tt.field).Set(new(attune.Policy), tt.text)
			require.EqualError(t, err, tt.message)
			require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
		})
	}

	t.Run("both ends of a range are accepted", func(t *testing.T) {
		t.Parallel()
		var p attune.Policy
		for _, text := range []string{"0", "5000"} {
			require.NoError(t, field(t, "limit").Set(&p, text))
		}
		for _, text := range []string{"0s", "24h"} {
			require.NoError(t, field(t, "retry_delay").Set(&p, text))
		}
		require.NoError(t, field(t, "queue_timeout").Set(&p, "87600h"))
		require.Equal(t, attune.Policy{
			Limit: new(5000), RetryDelay: new(attune.Duration(24 * time.Hour)), QueueTimeout: new(attune.Duration(87600 * time.Hour)),
		}, p)
	})
}

func TestField_Describes(t *testing.T) {
	t.Parallel()
	limit, overflow := field(t, "limit"), field(t, "overflow")
	require.Equal(t, policy.Bounds{Least: new(0), Most: new(attune.MaxLimit)}, limit.Bounds)
	require.Equal(t, "1; with a key 5000", limit.Default)
	require.Equal(t, []string{"reject", "drop_oldest"}, overflow.Choices)
	require.Equal(t, "10s", field(t, "retry_delay").Default)
}

func TestValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, policy.Validate(attune.Policy{}))
	require.NoError(t, policy.Validate(attune.Policy{Limit: new(0), Overflow: new(attune.OverflowDropOldest)}))
	err := policy.Validate(attune.Policy{Limit: new(1), MaxQueued: new(0), MaxAttempts: new(0)})
	require.EqualError(t, err, "policy max_queued 0: use 1 to 100000", "the error is about the first invalid field")
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.Equal(t, attune.EffectivePolicy{
		Limit: 1, Across: attune.AcrossStrict, WhenBusy: attune.BusyWait, MaxQueued: 10_000, Overflow: attune.OverflowReject,
		MaxAttempts: 1, RetryDelay: attune.Duration(10 * time.Second), RetryPlacement: attune.RetryHold,
	}, policy.Defaults())
}
