package packs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

// TestLoad_SecretFields checks that a rule cannot show a secret field of its event, and that every such error has its place.
func TestLoad_SecretFields(t *testing.T) {
	t.Parallel()
	const (
		pack    = "name: a\n"
		trigger = "payload:\n  type: object\n  properties:\n    user: {type: string}\n    password: {type: string, format: password}\n"
		action  = "command: [ls]\nparameters:\n  properties:\n    token: {writeOnly: true}\n    note: {}\n"
	)

	t.Run("a secret field is passed on as a secret parameter", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"pack.yaml": pack, "triggers/login.yaml": trigger, "actions/use.yaml": action, "rules/r.yaml": `
trigger: login
criteria: payload.user != "" && has(payload.password)
action: use
parameters:
  token: "{{ payload.password }}"
  note: "{{ payload.user }}"
`})
		_, err := load(t, dir)
		require.NoError(t, err)
	})

	t.Run("a rule that would show one is refused", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"pack.yaml": pack, "triggers/login.yaml": trigger, "actions/use.yaml": action, "rules/r.yaml": `
trigger: login
criteria: |
  payload.user != "" &&
    payload.password.size() > 3
action: use
parameters:
  token: "Bearer {{ payload.password }}"
  note: "{{ payload.password }}"
`, "rules/s.yaml": "trigger: login\naction: use\nparameters: {token: hunter2}\n"})
		_, err := load(t, dir)
		requireProblems(t, err, map[string]string{"P": dir},
			`P/rules/r.yaml:5:5: criteria: reads /password, which is a secret field or has one inside: criteria can only test whether a secret field exists`,
			`P/rules/r.yaml:8:21: parameters.token: reads /password, which is a secret field or has one inside: `+
				`a secret field can only be passed as a whole value, "{{ payload.field }}"`,
			`P/rules/r.yaml:9:13: parameters.note: passes /password, which is a secret field or has one inside into a parameter that is not secret: `+
				`mark the parameter with writeOnly: true in the schema of the action`,
			`P/rules/s.yaml:3:21: parameters.token: is secret by the schema of the action, and a pack holds no secrets: `+
				`take it from the payload, or let the action ask for it with secrets`)
	})

	t.Run("a document cannot be secret as a whole", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{"pack.yaml": pack, "triggers/login.yaml": "payload: {writeOnly: true}\n"})
		_, err := load(t, dir)
		requireProblems(t, err, map[string]string{"P": dir},
			`P/triggers/login.yaml:1:10: payload: marks the whole document as secret: mark its members with writeOnly: true`)
	})
}

func TestLoad_Secrets(t *testing.T) {
	t.Parallel()

	t.Run("an action asks for secrets by name", func(t *testing.T) {
		t.Parallel()
		with := folder(t, map[string]string{"pack.yaml": "name: a\n", "actions/x.yaml": "command: [ls]\nsecrets: [GITHUB_TOKEN, NPM_TOKEN]\n"})
		without := folder(t, map[string]string{"pack.yaml": "name: a\n", "actions/x.yaml": "command: [ls]\n"})
		asks, err := load(t, with)
		require.NoError(t, err)
		require.Equal(t, []string{"GITHUB_TOKEN", "NPM_TOKEN"}, asks.Actions[0].Secrets)
		none, err := load(t, without)
		require.NoError(t, err)
		require.NotEqual(t, asks.Digest, none.Digest)
		require.Equal(t, []attune.Ref{"a.x"}, packs.WithSecrets([]attune.Pack{*asks}))
		require.Empty(t, packs.WithSecrets([]attune.Pack{*none}))
	})

	t.Run("a name that cannot be one is refused", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, map[string]string{
			"pack.yaml": "name: a\n", "actions/x.yaml": "command: [ls]\nenv: [A]\nsecrets: [A, B-C, ATTUNE_X, PATH, D, D, 5]\n",
		})
		_, err := load(t, dir)
		requireProblems(t, err, map[string]string{"P": dir},
			`P/actions/x.yaml:3:11: secrets: the action has the environment variable "A" already: name each once`,
			`P/actions/x.yaml:3:14: secrets: secret: "B-C" is not the name of an environment variable: use letters, digits and '_'`,
			`P/actions/x.yaml:3:19: secrets: secret: "ATTUNE_X" is reserved: names that begin with ATTUNE_ belong to attune`,
			`P/actions/x.yaml:3:29: secrets: secret: every action has the variable PATH already, so none can ask for a secret of this name`,
			`P/actions/x.yaml:3:38: secrets: the action has the environment variable "D" already: name each once`,
			`P/actions/x.yaml:3:41: secrets: got a number, want text: put it in quotes`)
	})
}
