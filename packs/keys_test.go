package packs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

// Files of a pack with a secret field in its trigger and a secret parameter in its first action.
const (
	keyTrigger = "payload:\n  type: object\n  properties:\n    user: {type: string}\n    password: {type: string, format: password}\n"
	keyAction  = "command: [ls]\nparameters:\n  properties:\n    tenant: {}\n    token: {writeOnly: true}\n  additionalProperties: false\n"
	keyOther   = "command: [ls]\nparameters:\n  properties:\n    note: {}\n  additionalProperties: false\n"
	keyRules   = "trigger: login\naction: use\nparameters:\n  tenant: \"{{ payload.user }}\"\n"
)

// keyPack returns a pack with policies of the pack and of its action use.
func keyPack(t *testing.T, pack, action string) string {
	t.Helper()
	return folder(t, map[string]string{
		"pack.yaml": "name: a\n" + pack, "triggers/login.yaml": keyTrigger, "actions/use.yaml": keyAction + action,
		"actions/other.yaml": keyOther, "rules/r.yaml": keyRules,
	})
}

func TestLoad_Keys(t *testing.T) {
	t.Parallel()

	t.Run("a key of an action and a key of a pack are read", func(t *testing.T) {
		t.Parallel()
		dir := keyPack(t, "policy:\n  key: payload.user\n", "policy: {key: parameters.tenant, limit_per_key: 2, max_queued_per_key: 5, across: strict, when_busy: replace}\n")
		pack, err := load(t, dir)
		require.NoError(t, err)
		require.Equal(t, &attune.Policy{Key: new("payload.user")}, pack.Policy)
		for _, action := range pack.Actions {
			if action.Ref == "a.other" {
				require.Nil(t, action.Policy)
				continue
			}
			require.Equal(t, &attune.Policy{
				Key: new("parameters.tenant"), LimitPerKey: new(2), MaxQueuedPerKey: new(5), Across: new(attune.AcrossStrict),
				WhenBusy: new(attune.BusyReplace),
			}, action.Policy)
			require.Nil(t, action.Key, "only the policy in force says which key applies")
		}
	})

	t.Run("a key may test whether a secret exists, and a pack's key may read a parameter that some actions lack", func(t *testing.T) {
		t.Parallel()
		dir := keyPack(t, "policy:\n  key: parameters.tenant\n", `policy:
  key: |
    has(parameters.token) && has(payload.password) ? "with" : "without"
`)
		pack, err := load(t, dir)
		require.NoError(t, err)
		for _, action := range pack.Actions {
			if action.Ref == "a.use" {
				require.Equal(t, `has(parameters.token) && has(payload.password) ? "with" : "without"`, *action.Policy.Key)
			}
		}
	})

	const advice = ": people see the value of a key, so it can only test whether a secret field exists"
	for name, tt := range map[string]struct {
		pack, action string
		want         []string
	}{
		"a syntax error": {"policy: {key: parameters.}\n", "policy:\n  limit: 1\n  key: parameters.tenant +\n", []string{
			`P/actions/use.yaml:9:27: key: syntax error: the expression ends too early`,
			`P/pack.yaml:2:26: key: syntax error: cannot read '.'`}},
		"an unknown name in a text of several lines": {"", "policy:\n  key: |\n    parameters.tenant +\n      params.x\n", []string{
			`P/actions/use.yaml:10:7: key: undeclared reference to 'params'`}},
		"a value without a lane": {"policy:\n  key: '[payload.user]'\n", "", []string{
			`P/pack.yaml:3:9: key: yields list(dyn), want a text, a number, a boolean or null`}},
		"a value that is no text": {"policy: {key: 5}\n", "policy: {key: [a]}\n", []string{
			`P/actions/use.yaml:7:15: key: got a list, want text`, `P/pack.yaml:2:15: key: got a number, want text: put it in quotes`}},
		"an empty key": {`policy: {key: ""}` + "\n", "", []string{
			`P/pack.yaml:2:15: policy key "": use a text of 1 to 10000 bytes`}},
		"a secret parameter": {"", "policy:\n  key: parameters.tenant + parameters.token\n", []string{
			`P/actions/use.yaml:8:28: key, for action "a.use": reads /token of the parameters, which is a secret field or has one inside` + advice}},
		"a secret field of the event": {"", "policy:\n  key: event.payload.password\n", []string{
			`P/actions/use.yaml:8:8: key, for action "a.use" and trigger "a.login": reads /password of the payload, which is a secret field or has one inside` + advice}},
		"secrets that a pack's key reads": {"policy:\n  key: parameters.token + payload.password\n", "", []string{
			`P/pack.yaml:3:8: key, for action "a.use": reads /token of the parameters, which is a secret field or has one inside` + advice,
			`P/pack.yaml:3:27: key, for action "a.use" and trigger "a.login": reads /password of the payload, which is a secret field or has one inside` + advice}},
		"a parameter that the action does not accept": {"", "policy:\n  key: parameters.tennant\n", []string{
			`P/actions/use.yaml:8:8: key: reads the parameter "tennant", which the schema of the action does not accept`}},
	} {
		t.Run(name+" is refused, and no pack is loaded", func(t *testing.T) {
			t.Parallel()
			dir := keyPack(t, tt.pack, tt.action)
			good := folder(t, map[string]string{"pack.yaml": "name: good\n"})
			all, err := packs.LoadAll(t.TempDir(), []string{good, dir})
			require.Nil(t, all)
			requireProblems(t, err, map[string]string{"P": dir}, tt.want...)
		})
	}

	t.Run("a key of an action hides that of its pack", func(t *testing.T) {
		t.Parallel()
		_, err := load(t, keyPack(t, "policy:\n  key: parameters.token\n", "policy: {key: parameters.tenant}\n"))
		require.NoError(t, err)
	})

	t.Run("a rule of another pack can bring a secret field to a key", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"pack.yaml": "name: a\nactions: {use: {command: [ls], policy: {key: payload.password}}}\n"})
		_, err := load(t, dir)
		require.NoError(t, err)
		other := folder(t, map[string]string{
			"pack.yaml": "name: b\nrules: {r: {trigger: login, action: a.use}}\n", "triggers/login.yaml": keyTrigger,
		})
		_, err = load(t, dir, other)
		requireProblems(t, err, map[string]string{"P": dir},
			`P/pack.yaml:2:46: key, for action "a.use" and trigger "b.login": reads /password of the payload, which is a secret field or has one inside`+advice)
	})

	t.Run("the digest depends on the key", func(t *testing.T) {
		t.Parallel()
		digests := map[string]bool{}
		for _, policy := range []string{"{limit: 1, key: parameters.tenant}", "{limit: 1, key: payload.user}", "{limit: 1}"} {
			pack, err := load(t, keyPack(t, "", "policy: "+policy+"\n"))
			require.NoError(t, err)
			digests[pack.Digest] = true
		}
		require.Len(t, digests, 3)
	})
}
