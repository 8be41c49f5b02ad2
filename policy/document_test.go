package policy_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// mistakes returns the locations of a document's mistakes with their messages.
func mistakes(t *testing.T, err error) map[string]string {
	t.Helper()
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	invalid, ok := errors.AsType[*policy.DocumentError](err)
	require.True(t, ok, "%v", err)
	found := make(map[string]string)
	for _, m := range invalid.Mistakes {
		found[m.Location()] = m.Message
	}
	return found
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		document string
		want     map[string]string
	}{
		"several mistakes are all listed": {`{"limit":-1,"overflow":"wait","retries":3}`, map[string]string{
			"limit": "policy limit -1: use 0 (grants nothing) to 5000", "overflow": `policy overflow "wait": use "reject" or "drop_oldest"`,
			"retries": `policy: unknown field "retries": use `,
		}},
		"a value of another kind": {`{"limit":"5","queue_timeout":5,"key":true}`, map[string]string{
			"limit": "policy limit: got string, want whole number", "queue_timeout": "policy queue_timeout: got number, want duration",
			"key": "policy key: got bool, want text",
		}},
		"a fraction":        {`{"limit":1.5}`, map[string]string{"limit": "policy limit: got number 1.5, want whole number"}},
		"a null":            {`{"limit":null}`, map[string]string{"limit": "policy limit: got null: leave the field out instead"}},
		"a repeated field":  {`{"limit":1,"limit":2}`, map[string]string{"limit": "policy limit: given twice: give it once"}},
		"a list":            {`[]`, map[string]string{"": "policy: want an object with the fields of a policy"}},
		"no JSON":           {`{"limit":1`, map[string]string{"": "policy: want an object with the fields of a policy"}},
		"a key with U+0000": {`{"key":"a\u0000"}`, map[string]string{"key": `policy key "a\x00": use a text of 1 to 10000 bytes`}},
		"members of a structure": {`{"retry_on":{"statuses":["failed","cancelled"]}}`, map[string]string{
			"retry_on.statuses[1]": `policy retry_on.statuses[1]: "cancelled": use failed, timed_out or abandoned, each once`,
		}},
		"a member that a structure does not have": {`{"retry_on":{"codes":[1]}}`, map[string]string{
			"retry_on": `policy retry_on: unknown field "codes"`,
		}},
		"a member of another kind": {`{"retry_on":{"exit_codes":75}}`, map[string]string{
			"retry_on": `policy retry_on: exit_codes: got number, want a list`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := policy.Decode([]byte(tt.document))
			require.Equal(t, attune.Policy{}, p)
			found := mistakes(t, err)
			require.Len(t, found, len(tt.want))
			for location, message := range tt.want {
				require.Contains(t, found[location], message, location)
			}
		})
	}
}

func TestDecode_ReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := genPolicy().Draw(t, "policy")
		document, err := json.Marshal(p)
		require.NoError(t, err)
		decoded, err := policy.Decode(document)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(p, decoded))
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	before := attune.Policy{
		Limit: new(5), Key: new("parameters.a"),
		RetryOn: &attune.RetryOn{Statuses: []attune.ExecutionStatus{attune.ExecutionFailed}, ExitCodes: []int{75}},
	}
	for name, tt := range map[string]struct {
		patch string
		want  attune.Policy
	}{
		"an empty patch changes nothing":  {`{}`, before},
		"a field is set, the others stay": {`{"limit":6}`, attune.Policy{Limit: new(6), Key: before.Key, RetryOn: before.RetryOn}},
		"a null removes a field":          {`{"key":null,"retry_on":null,"max_queued":null}`, attune.Policy{Limit: new(5)}},
		"the members of a field are merged": {`{"retry_on":{"statuses":null,"exit_codes":[1,2]}}`, attune.Policy{
			Limit: new(5), Key: before.Key, RetryOn: &attune.RetryOn{ExitCodes: []int{1, 2}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			merged, err := policy.Merge(before, []byte(tt.patch))
			require.NoError(t, err)
			require.Equal(t, tt.want, merged)
		})
	}

	t.Run("mistakes are refused, also a name to remove that does not exist", func(t *testing.T) {
		t.Parallel()
		for patch, location := range map[string]string{`{"limt":null}`: "limt", `{"limit":-1}`: "limit", `[]`: "", `null`: ""} {
			_, err := policy.Merge(before, []byte(patch))
			require.Contains(t, mistakes(t, err), location, patch)
		}
	})
}

func TestRetryOn(t *testing.T) {
	t.Parallel()
	refused := map[string]string{
		`{}`:                               "policy retry_on: use statuses or exit_codes",
		`{"statuses":["failed","failed"]}`: "each once",
		`{"exit_codes":[0]}`:               "policy retry_on.exit_codes[0]: 0: use 1 to 255, each once",
		`{"exit_codes":[1,256]}`:           "policy retry_on.exit_codes[1]: 256",
		`{"exit_codes":[1],"statuses":["timed_out"]}`: "add failed to statuses",
		`{"exit_codes":[1]} {}`:                       "more than one value",
	}
	for text, message := range refused {
		require.ErrorContains(t, field(t, "retry_on").Set(new(attune.Policy), text), message, text)
	}
}
