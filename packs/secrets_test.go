package packs_test

import (
	"testing"

	"github.com/stretchr/testify/require"
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
