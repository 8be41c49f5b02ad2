package packs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

func TestLoad_Problems(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"a folder is empty", nil, []string{`P: is not a pack: it has no pack.yaml`}},
		{"a file is empty", map[string]string{"pack.yaml": "# nothing\n"}, []string{`P/pack.yaml: is empty`}},
		{"a file holds a list", map[string]string{"pack.yaml": "- name: a\n"}, []string{`P/pack.yaml:1:1: got a list, want a mapping of keys to values`}},
		{"a file holds two documents", map[string]string{"pack.yaml": "name: a\n---\nname: b\n"}, []string{`P/pack.yaml:2:1: a second document: use one file for each document`}},
		{"a file is not UTF-8", map[string]string{"pack.yaml": "name: \xff\n"}, []string{`P/pack.yaml: is not UTF-8 text`}},
		{"a file is not YAML", map[string]string{"pack.yaml": "name: a\nversion: 'x\n"}, []string{
			`P/pack.yaml:2:10: not valid YAML: could not find end character of single-quoted text`}},
		{"a tab indents a line", map[string]string{"pack.yaml": "name: a\npolicy:\n\tlimit: 1\n"}, []string{
			"P/pack.yaml:3:1: not valid YAML: found character '\t' that cannot start any token"}},
		{"the name is missing", map[string]string{"pack.yaml": "version: \"1\"\ntriggers: {t: {}}\nrules: {r: {trigger: t, action: core.echo}}\n"}, []string{
			`P/pack.yaml:1:1: pack: the key "name" is missing: the first half of every reference to the pack`}},
		{"names are malformed", map[string]string{"pack.yaml": "name: My Pack\ntriggers:\n  Push: {}\n", "actions/Do it.yaml": "command: [ls]\n"}, []string{
			`P/actions/Do it.yaml: action name "Do it": use lower-case letters, digits, '_' or '-', starting with a letter`,
			`P/pack.yaml:1:7: pack name "My Pack": use lower-case letters, digits, '_' or '-', starting with a letter`,
			`P/pack.yaml:3:3: trigger name "Push": use lower-case letters, digits, '_' or '-', starting with a letter`}},
		{"keys are unknown", map[string]string{
			"pack.yaml":       "name: a\nauthor: me\npolicy: {limits: 1}\n",
			"actions/x.yaml":  "comand: [ls]\ncommand: [ls]\n",
			"triggers/t.yaml": "webhook: {key: k, secret_env: S, secret: x}\n",
			"rules/r.yaml":    "when: t\ntrigger: t\naction: x\n"}, []string{
			`P/actions/x.yaml:1:1: action "x": unknown key "comand": use description, command, env, secrets, timeout, pool, parameters, limits, policy`,
			`P/pack.yaml:2:1: pack: unknown key "author": use name, version, description, policy, triggers, actions, queues, rules`,
			`P/pack.yaml:3:10: policy: unknown key "limits": use limit, key, limit_per_key, across, queue, when_busy, max_queued, max_queued_per_key, overflow, queue_timeout, max_attempts, retry_delay, retry_placement, rate, quota`,
			`P/rules/r.yaml:1:1: rule "r": unknown key "when": use description, enabled, trigger, criteria, action, parameters`,
			`P/triggers/t.yaml:1:34: webhook of trigger "t": unknown key "secret": use key, secret_env, dedup_header`}},
		{"values have wrong types", map[string]string{
			"pack.yaml":       "name: a\nversion: 1.10\ndescription: [x]\npolicy: 3\ntriggers: [t]\n",
			"actions/x.yaml":  "command: ls -l\nenv: HOME\ntimeout: [1]\npool: 7\nparameters: object\n",
			"actions/y.yaml":  "command: [ls, 5, true]\ntimeout: 30\n",
			"rules/r.yaml":    "enabled: \"yes\"\ntrigger: [t]\naction: {x: y}\ncriteria: true\nparameters: [1]\n",
			"triggers/t.yaml": "payload: any\nwebhook: true\n"}, []string{
			`P/actions/x.yaml:1:10: command: got text, want a list`,
			`P/actions/x.yaml:2:6: env: got text, want a list`,
			`P/actions/x.yaml:3:10: timeout: got a list, want a duration such as 30s, 5m or 1h30m`,
			`P/actions/x.yaml:4:7: pool: got a number, want text: put it in quotes`,
			`P/actions/x.yaml:5:13: parameters: got text, want a mapping`,
			`P/actions/y.yaml:1:15: command: got a number, want text: put it in quotes`,
			`P/actions/y.yaml:1:18: command: got a boolean, want text: put it in quotes`,
			`P/actions/y.yaml:2:10: timeout: duration "30": use a number with a unit, such as 30s, 5m or 1h30m`,
			`P/pack.yaml:2:10: version: got a number, want text: put it in quotes`,
			`P/pack.yaml:3:14: description: got a list, want text`,
			`P/pack.yaml:4:9: policy: got a number, want a mapping`,
			`P/pack.yaml:5:11: triggers: got a list, want a mapping`,
			`P/rules/r.yaml:1:10: enabled: got text, want a boolean`,
			`P/rules/r.yaml:2:10: trigger: got a list, want text`,
			`P/rules/r.yaml:3:9: action: got a mapping, want text`,
			`P/rules/r.yaml:4:11: criteria: got a boolean, want text: put it in quotes`,
			`P/rules/r.yaml:5:13: parameters: got a list, want a mapping`,
			`P/triggers/t.yaml:1:10: payload: got text, want a mapping`,
			`P/triggers/t.yaml:2:10: webhook: got a boolean, want a mapping`}},
		{"limits are out of their ranges", map[string]string{
			"pack.yaml":      "name: a\n",
			"actions/x.yaml": "command: [ls]\nlimits: {memory: 5, processes: 0, cpu: 1}\n",
			"actions/y.yaml": "command: [ls]\nlimits: {memory: 5MB, processes: 1.5}\n",
			"actions/z.yaml": "command: [ls]\nlimits:\n  memory: 512KiB\n  processes: 1000001\n"}, []string{
			`P/actions/x.yaml:2:18: memory: "5" has no unit: use a whole number with a unit, such as 5MiB`,
			`P/actions/x.yaml:2:32: processes: 0: use a whole number from 1 to 1000000`,
			`P/actions/x.yaml:2:35: limits: unknown key "cpu": use memory, processes`,
			`P/actions/y.yaml:2:18: memory: "5MB" is not a size: use a whole number with a unit, such as 64MiB or 2GiB`,
			`P/actions/y.yaml:2:34: processes: 1.5: use a whole number from 1 to 1000000`,
			`P/actions/z.yaml:3:11: memory: 512KiB is too little: use 1MiB or more`,
			`P/actions/z.yaml:4:14: processes: 1000001: use a whole number from 1 to 1000000`}},
		{"required keys are missing", map[string]string{
			"pack.yaml": "name: a\nactions:\n  x: {}\n  y:\n    command:\nrules:\n  r: {enabled: false}\ntriggers:\n  t: {webhook: {dedup_header: X}}\n"}, []string{
			`P/pack.yaml:3:6: action "x": the key "command" is missing: a list with the program and its arguments`,
			`P/pack.yaml:5:5: action "y": the key "command" is missing: a list with the program and its arguments`,
			`P/pack.yaml:7:6: rule "r": the key "trigger" is missing: the kind of event that the rule reacts to`,
			`P/pack.yaml:7:6: rule "r": the key "action" is missing: the action that the rule runs`,
			`P/pack.yaml:9:16: webhook of trigger "t": the key "key" is missing: the last part of the URL to post to`,
			`P/pack.yaml:9:16: webhook of trigger "t": the key "secret_env" is missing: the environment variable with the secret that signs the requests`}},
		{"a declaration has no body", map[string]string{"pack.yaml": "name: a\nactions:\n  x:\n  y: ls\n"}, []string{
			`P/pack.yaml:3:5: action "x": got nothing, want a mapping`,
			`P/pack.yaml:3:5: action "x": the key "command" is missing: a list with the program and its arguments`,
			`P/pack.yaml:4:6: action "y": got text, want a mapping`,
			`P/pack.yaml:4:6: action "y": the key "command" is missing: a list with the program and its arguments`}},
		{"commands cannot run", map[string]string{
			"pack.yaml": `name: a
actions:
  a: {command: []}
  b: {command: [""]}
  c: {command: [bin/missing]}
  d: {command: [bin/plain]}
  e: {command: [bin/]}
  f: {command: [/bin/sh]}
  g: {command: [../sh]}
  h: {command: [bin/right]}
  i: {command: [right]}
`, "bin/plain": "#!/bin/sh\n", "bin/right*": "#!/bin/sh\n"}, []string{
			`P/pack.yaml:3:16: command: the list is empty: name the program, then its arguments`,
			`P/pack.yaml:4:17: command: the program is empty`,
			`P/pack.yaml:5:17: command: "bin/missing" does not exist in the pack`,
			`P/pack.yaml:6:17: command: "bin/plain" is not executable: run chmod +x on it`,
			`P/pack.yaml:7:17: command: "bin/" is not a file`,
			`P/pack.yaml:8:17: command: "/bin/sh" is an absolute path: name a file of the pack by its path inside the pack, or a program on the worker's PATH without a slash`,
			`P/pack.yaml:9:17: command: "../sh" is outside of the pack: name a file of the pack, or a program on the worker's PATH without a slash`}},
		{"a variable is reserved", map[string]string{
			"pack.yaml":      "name: a\nactions:\n  x:\n    command: [ls]\n    env: [HOME, ATTUNE_DATABASE_URL]\n",
			"actions/y.yaml": "command: [ls]\nenv:\n  - ATTUNE\n  - attune_x\n  - ATTUNE_\n  - MY_ATTUNE_X\n"}, []string{
			`P/actions/y.yaml:5:5: env: "ATTUNE_" is reserved: no action gets a variable whose name begins with ATTUNE_, use another name`,
			`P/pack.yaml:5:17: env: "ATTUNE_DATABASE_URL" is reserved: no action gets a variable whose name begins with ATTUNE_, use another name`}},
		{"values are out of range", map[string]string{
			"pack.yaml":       "name: a\npolicy:\n  limit: -1\n  max_queued: 0\n  overflow: wait\n  queue_timeout: -5s\n  max_attempts: 0\n  retry_delay: 25h\n  retry_placement: front\n",
			"actions/x.yaml":  "command: [ls]\ntimeout: 0s\npool: Big Ones\nenv: [A-B, HOME]\npolicy: {limit: 10001, max_queued: 1.5, queue_timeout: soon}\n",
			"actions/y.yaml":  "command: [ls]\ntimeout: 3 days\npolicy: {limit: 99999999999999999999, max_attempts: 101, retry_delay: -1s, retry_placement: 1}\n",
			"triggers/t.yaml": "webhook: {key: a/b, secret_env: 1X, dedup_header: \"X Y\"}\n"}, []string{
			`P/actions/x.yaml:2:10: timeout: 0s: use more than zero`,
			`P/actions/x.yaml:3:7: pool name "Big Ones": use lower-case letters, digits, '_' or '-', starting with a letter`,
			`P/actions/x.yaml:4:7: env: "A-B" is not the name of an environment variable`,
			fmt.Sprintf(`P/actions/x.yaml:5:17: policy limit 10001: use 0 (grants nothing) to %d`, attune.MaxLimit),
			`P/actions/x.yaml:5:36: max_queued: 1.5 is not a whole number`,
			`P/actions/x.yaml:5:56: queue_timeout: duration "soon": use a number with a unit, such as 30s, 5m or 1h30m`,
			`P/actions/y.yaml:2:10: timeout: duration "3 days": use a number with a unit, such as 30s, 5m or 1h30m`,
			`P/actions/y.yaml:3:17: limit: 99999999999999999999 is not a whole number`,
			`P/actions/y.yaml:3:53: policy max_attempts 101: use 1 (no retry) to 100`,
			`P/actions/y.yaml:3:71: policy retry_delay -1s: use 0s to 24h0m0s`,
			`P/actions/y.yaml:3:93: retry_placement: got a number, want text: put it in quotes`,
			fmt.Sprintf(`P/pack.yaml:3:10: policy limit -1: use 0 (grants nothing) to %d`, attune.MaxLimit),
			`P/pack.yaml:4:15: policy max_queued 0: use 1 to 100000`,
			`P/pack.yaml:5:13: policy overflow "wait": use "reject" or "drop_oldest"`,
			`P/pack.yaml:6:18: policy queue_timeout -5s: use 0 (for ever) or more`,
			`P/pack.yaml:7:17: policy max_attempts 0: use 1 (no retry) to 100`,
			`P/pack.yaml:8:16: policy retry_delay 25h0m0s: use 0s to 24h0m0s`,
			`P/pack.yaml:9:20: policy retry_placement "front": use "hold", "back" or "park"`,
			`P/triggers/t.yaml:1:16: key: "a/b" has the wrong form: use letters, digits, '.', '_' or '-', at most 100`,
			`P/triggers/t.yaml:1:33: secret_env: "1X" has the wrong form: use the name of an environment variable`,
			`P/triggers/t.yaml:1:51: dedup_header: "X Y" has the wrong form: use the name of a request header`}},
		{"a name is declared twice", map[string]string{
			"pack.yaml":      "name: a\nactions:\n  x: {command: [ls]}\n  x: {command: [pwd]}\nname: b\n",
			"actions/x.yaml": "command: [ls]\n", "actions/y.yml": "command: [ls]\n"}, []string{
			`P/actions/x.yaml: action "x" is declared a second time: the first is in P/pack.yaml:3`,
			`P/actions/y.yml: would be ignored: rename it to y.yaml`,
			`P/pack.yaml:4:3: key "x" appears a second time: the first is in line 3`,
			`P/pack.yaml:5:1: key "name" appears a second time: the first is in line 1`}},
		{"a webhook key is used twice", map[string]string{
			"pack.yaml": "name: a\ntriggers:\n  s: {webhook: {key: k, secret_env: S}}\n  t: {webhook: {key: k, secret_env: S}}\n"}, []string{
			`P/pack.yaml:4:22: webhook key "k" is taken by trigger "a.s"`}},
		{"references have no target", map[string]string{
			"pack.yaml": `name: a
triggers: {t: {}}
actions: {x: {command: [ls]}, y: {command: [ls]}}
rules:
  q: {trigger: nope, action: nope}
  r: {trigger: a.nope, action: A.x}
  s: {trigger: core.manual, action: "x "}
`}, []string{
			`P/pack.yaml:5:16: trigger: pack "a" has no trigger "nope": it has t`,
			`P/pack.yaml:5:30: action: pack "a" has no action "nope": it has x, y`,
			`P/pack.yaml:6:16: trigger: pack "a" has no trigger "nope": it has t`,
			`P/pack.yaml:6:32: action: reference "A.x" is not of the form "pack.name" (lower-case letters, digits, '_', '-')`,
			`P/pack.yaml:7:16: trigger: no rule can listen to "core.manual": it records direct runs of actions`,
			`P/pack.yaml:7:37: action: reference "a.x " is not of the form "pack.name" (lower-case letters, digits, '_', '-')`}},
		{"an unreadable declaration is not reported as missing", map[string]string{
			"pack.yaml": "name: a\ntriggers: {t: {}}\nrules: {r: {trigger: t, action: x}}\n", "actions/x.yaml": "command: [ls\n"}, []string{
			`P/actions/x.yaml:1:10: not valid YAML: sequence end token ']' not found`}},
		{"the YAML is outside of the subset", map[string]string{
			"pack.yaml": "name: &n a\nversion: *n\ndescription: !!str 3\npolicy:\n  <<: {limit: 1}\n  max_queued: 0x10\n  limit: 010\ntriggers:\n  1: {}\n"}, []string{
			`P/pack.yaml:1:1: pack: the key "name" is missing: the first half of every reference to the pack`,
			`P/pack.yaml:1:7: anchors, aliases and tags are not supported: write the value itself`,
			`P/pack.yaml:2:10: anchors, aliases and tags are not supported: write the value itself`,
			`P/pack.yaml:3:14: anchors, aliases and tags are not supported: write the value itself`,
			`P/pack.yaml:5:3: key << is not text: put it in quotes`,
			`P/pack.yaml:6:15: number 0x10: write it in decimal digits, or put it in quotes if it is text`,
			`P/pack.yaml:7:10: number 010: write it in decimal digits, or put it in quotes if it is text`,
			`P/pack.yaml:9:3: key 1 is not text: put it in quotes`}},
		{"a text has U+0000", map[string]string{"pack.yaml": "name: a\ndescription: \"x\\0\"\n"}, []string{
			`P/pack.yaml:2:14: the text contains U+0000, which cannot be stored`}},
		{"a template has no quotes", map[string]string{
			"pack.yaml": "name: a\ntriggers: {t: {}}\nactions: {x: {command: [ls]}}\n", "rules/r.yaml": "trigger: t\naction: x\nparameters:\n  a: {{ payload.x }}\n"}, []string{
			`P/rules/r.yaml:4:7: not valid YAML: could not find flow map content; put templates in quotes: "{{ … }}"`}},
		{"parameters never fit the schema", map[string]string{
			"pack.yaml": "name: a\ntriggers: {t: {}}\nactions:\n  x:\n    command: [ls]\n    parameters: {properties: {n: {type: integer}, s: {enum: [a, b]}}, required: [n], additionalProperties: false}\n" +
				"rules:\n  q: {trigger: t, action: x}\n  r:\n    trigger: t\n    action: x\n    parameters: {s: c, m: \"{{ payload.m }}\"}\n" +
				"  s: {trigger: t, action: x, parameters: {n: \"{{ payload.n }}\", s: a}}\n"}, []string{
			`P/pack.yaml:8:27: parameters: missing property 'n'`,
			`P/pack.yaml:12:17: parameters: additional properties 'm' not allowed`,
			`P/pack.yaml:12:17: parameters: missing property 'n'`,
			`P/pack.yaml:12:21: parameters.s: value must be one of 'a', 'b'`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, tt.files)
			pack, err := load(t, dir)
			require.Nil(t, pack)
			requireProblems(t, err, map[string]string{"P": dir}, tt.want...)
		})
	}
}

// rulesOf returns a pack with one trigger, one action and the given rule.
func rulesOf(rule string) map[string]string {
	return map[string]string{
		"pack.yaml": "name: a\ntriggers: {t: {}}\nactions: {x: {command: [ls]}}\n", "rules/r.yaml": "trigger: t\naction: x\n" + rule,
	}
}

func TestLoad_ProblemsInsideExpressions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, rule string
		want       []string
	}{
		{"the text is plain", "criteria: payload.a == paylod.b\n", []string{`3:24: criteria: undeclared reference to 'paylod'`}},
		{"the text is in single quotes", "criteria: 'payload.a == ''x'' && foo'\n", []string{`3:34: criteria: undeclared reference to 'foo'`}},
		{"the text is in double quotes", `criteria: "payload.a == \"\u00e4\" && \n foo"` + "\n", []string{`3:42: criteria: undeclared reference to 'foo'`}},
		{"a plain text has several lines", "criteria: payload.a == 1 &&\n  payload.b == 2 &&\n  foo\n", []string{`5:3: criteria: undeclared reference to 'foo'`}},
		{"a quoted text has several lines", "criteria: \"payload.a == 1 &&\n\n  payload.b == 2 &&\n  foo\"\n", []string{`6:3: criteria: undeclared reference to 'foo'`}},
		{"the text is a literal block", "criteria: |\n  payload.a == 1 &&\n    payload.b == 2 &&\n\n    foo\n", []string{`7:5: criteria: undeclared reference to 'foo'`}},
		{"the literal block has an indentation indicator", "criteria: |2-\n    payload.a == 1 &&\n   foo\n", []string{`5:4: criteria: undeclared reference to 'foo'`}},
		{"the text is a folded block", "criteria: >-\n  payload.a == 1 &&\n  payload.b == 2 &&\n  foo && bar\n", []string{
			`6:3: criteria: undeclared reference to 'foo'`, `6:10: criteria: undeclared reference to 'bar'`}},
		{"umlauts come before the place", "# ä\ncriteria: payload.ä == 1\n", []string{
			`4:19: criteria: syntax error: cannot read 'ä'`, `4:21: criteria: syntax error: cannot read '. =='`}},
		{"the expression ends too early", "criteria: payload.a ==\n", []string{`3:23: criteria: syntax error: the expression ends too early`}},
		{"the criteria yield no bool", "criteria: |\n  payload.a + 'x'\n", []string{`4:3: criteria: yields string, want bool`}},
		{"lines end like on Windows", "criteria: |\r\n  payload.a == 1 &&\r\n  foo\r\n", []string{`5:3: criteria: undeclared reference to 'foo'`}},
		{"templates are wrong", "parameters:\n  a: \"x {{ foo }} y {{ payload.b }} {{ bar }}\"\n  b:\n    - c: |\n        one\n        two {{\n          1 + baz }}\n  d: \"{{\"\n", []string{
			`4:12: parameters.a: undeclared reference to 'foo'`,
			`4:40: parameters.a: undeclared reference to 'bar'`,
			`9:15: parameters.b.0.c: undeclared reference to 'baz'`,
			`10:7: parameters.d: "{{" without "}}"; to write two braces, write {{ "{{" }}`}},
		{"a key holds a template", "parameters:\n  a:\n    \"{{ payload.k }}\": 1\n", []string{`5:5: parameters.a: the key "{{ payload.k }}" is not a template: only values can be`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, rulesOf(tt.rule))
			_, err := load(t, dir)
			var want []string
			for _, line := range tt.want {
				want = append(want, "P/rules/r.yaml:"+line)
			}
			requireProblems(t, err, map[string]string{"P": dir}, want...)
		})
	}
}

func TestLoad_ProblemsInsideSchemas(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"pack.yaml": "name: a\n",
		"actions/x.yaml": `command: [ls]
parameters:
  type: object
  properties:
    a: {type: text}
    b:
      pattern: '('
  required: a
`,
		"triggers/t.yaml": "payload:\n  $ref: https://example.com/schema\n",
	})
	_, err := load(t, dir)
	requireProblems(t, err, map[string]string{"P": dir},
		`P/actions/x.yaml:5:15: parameters.properties.a.type: value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'`,
		"P/actions/x.yaml:7:16: parameters.properties.b.pattern: '(' is not valid regex: error parsing regexp: missing closing ): `(`",
		`P/actions/x.yaml:8:13: parameters.required: got string, want array`,
		`P/triggers/t.yaml:2:3: payload: "https://example.com/schema" cannot be loaded: a schema may refer only to itself and to the standard drafts`,
	)
}

func TestLoad_NotAFolder(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"file": "x"})
	dirs := map[string]string{"P": dir}

	_, err := load(t, filepath.Join(dir, "file"))
	requireProblems(t, err, dirs, `P/file: is not a folder: name the folder that holds pack.yaml`)
	_, err = load(t, filepath.Join(dir, "missing"))
	requireProblems(t, err, dirs, `P/missing: there is no such folder`)
	_, err = load(t, filepath.Join(dir, "file", "below"))
	requireProblems(t, err, dirs, `P/file/below: cannot be read: not a directory`)
}

func TestLoad_ExecutableThatLeadsOutside(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"pack.yaml": "name: a\nactions: {x: {command: [bin/sh]}}\n", "bin/keep": ""})
	require.NoError(t, os.Symlink("/bin/sh", filepath.Join(dir, "bin/sh")))
	_, err := load(t, dir)
	requireProblems(t, err, map[string]string{"P": dir}, `P/pack.yaml:2:25: command: "bin/sh" cannot be used: path escapes from parent`)
}

func TestLoadError(t *testing.T) {
	t.Parallel()
	dir := folder(t, rulesOf("criteria: foo\n"))
	_, err := load(t, dir)
	loading, ok := errors.AsType[*packs.LoadError](err)
	require.True(t, ok)
	require.Equal(t, []packs.Problem{{
		File: filepath.Join(dir, "rules/r.yaml"), Line: 3, Column: 11, Message: "criteria: undeclared reference to 'foo'",
	}}, loading.Problems)
}
