package packs_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

// full is a pack with every key, in pack.yaml and separate files.
func full() map[string]string {
	return map[string]string{
		"pack.yaml": `name: full
version: "2.10"
description: Everything.
policy: {limit: 4, max_queued: 100, overflow: drop_oldest, queue_timeout: 1h30m, max_attempts: 3}
triggers:
  bare: {}
actions:
  bare:
    command: [echo, hi]
`,
		"triggers/push.yaml": `description: A push.
payload: {type: object, properties: {n: {type: number, maximum: 1e3}}, required: [ref]}
webhook: {key: full-push, secret_env: FULL_SECRET, dedup_header: X-Delivery}
`,
		"actions/deploy.yaml": `description: Deploys.
command: [bin/deploy, --fast]
env: [HOME, DEPLOY_TOKEN]
timeout: 90s
pool: builders
limits: {memory: 256MiB, processes: 20}
parameters: {type: object, properties: {commit: {type: string}}, required: [commit]}
policy: {limit: 0, max_attempts: 5, retry_delay: 1m30s, retry_placement: park}
`,
		"actions/README.md": "not a declaration",
		"bin/deploy*":       "#!/bin/sh\n",
		"rules/deploy.yaml": `description: Deploys main.
enabled: false
trigger: push
criteria: |
  payload.ref == "refs/heads/main" &&
  payload.n > 1
action: full.deploy
parameters:
  commit: "{{ payload.after }}"
  more: {text: "a < {{ payload.n }}", numbers: [1, 1.50, 9007199254740993], nothing: null, yes: true}
`,
		"rules/other.yaml": "trigger: elsewhere.push\naction: elsewhere.deploy\n",
	}
}

func TestLoad_EveryKey(t *testing.T) {
	t.Parallel()
	dir := folder(t, full())
	elsewhere := folder(t, map[string]string{"pack.yaml": "name: elsewhere\ntriggers: {push: {}}\nactions: {deploy: {command: [ls]}}\n"})
	got, err := load(t, dir, elsewhere)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(&attune.Pack{
		Name: "full", Version: "2.10", Description: "Everything.", Dir: dir,
		Policy: &attune.Policy{
			Limit: new(4), MaxQueued: new(100), Overflow: new(attune.OverflowDropOldest),
			QueueTimeout: new(attune.Duration(90 * time.Minute)), MaxAttempts: new(3),
		},
		Triggers: []attune.Trigger{
			{Ref: "full.bare"},
			{
				Ref: "full.push", Description: "A push.",
				Schema:  json.RawMessage(`{"properties":{"n":{"maximum":1e3,"type":"number"}},"required":["ref"],"type":"object"}`),
				Webhook: &attune.Webhook{Key: "full-push", SecretEnv: "FULL_SECRET", DedupHeader: "X-Delivery"},
			},
		},
		Actions: []attune.Action{
			{Ref: "full.bare", Enabled: true, Command: []string{"echo", "hi"}, Timeout: 10 * time.Minute, Pool: "default"},
			{
				Ref: "full.deploy", Description: "Deploys.", Enabled: true, Command: []string{"bin/deploy", "--fast"},
				Env: []string{"HOME", "DEPLOY_TOKEN"}, Timeout: 90 * time.Second, Pool: "builders",
				Limits: attune.Limits{Memory: 256 << 20, Processes: 20},
				Schema: json.RawMessage(`{"properties":{"commit":{"type":"string"}},"required":["commit"],"type":"object"}`),
				Policy: &attune.Policy{
					Limit: new(0), MaxAttempts: new(5), RetryDelay: new(attune.Duration(90 * time.Second)),
					RetryPlacement: new(attune.RetryPark),
				},
			},
		},
		Rules: []attune.Rule{
			{
				Ref: "full.deploy", Description: "Deploys main.", Trigger: "full.push", Action: "full.deploy",
				Criteria: "payload.ref == \"refs/heads/main\" &&\npayload.n > 1",
				Parameters: json.RawMessage(`{"commit":"{{ payload.after }}",` +
					`"more":{"nothing":null,"numbers":[1,1.50,9007199254740993],"text":"a < {{ payload.n }}","yes":true}}`),
			},
			{Ref: "full.other", Enabled: true, Trigger: "elsewhere.push", Action: "elsewhere.deploy"},
		},
	}, got, cmpopts.IgnoreFields(attune.Pack{}, "Digest")))
}

func TestLoad_DirIsAbsolute(t *testing.T) {
	t.Parallel()
	got, err := load(t, "demo")
	require.NoError(t, err)
	require.True(t, filepath.IsAbs(got.Dir))
}

func TestLoad_Digest(t *testing.T) {
	t.Parallel()
	digest := func(files map[string]string) string {
		pack, err := load(t, folder(t, files))
		require.NoError(t, err)
		require.Len(t, pack.Digest, 64)
		return pack.Digest
	}
	want := digest(map[string]string{
		"pack.yaml": "name: a\nversion: \"1\"\nactions:\n  x: {command: [ls]}\n  y: {command: [pwd], parameters: {type: object, minProperties: 1}}\n",
	})

	same := map[string]map[string]string{
		"order, comments and style differ": {"pack.yaml": `# a comment
actions:
  y:
    parameters:
      minProperties: 1
      type: 'object'
    command:
      - pwd
  x: {"command": ["ls"]}
version: "1"
name: a
`},
		"declarations are in separate files": {
			"pack.yaml": "name: a\nversion: '1'\n", "actions/x.yaml": "command: [ls]\n",
			"actions/y.yaml": "command: [pwd]\r\nparameters: {type: object, minProperties: 1}\r\n",
		},
		"defaults are written out": {"pack.yaml": "name: a\nversion: \"1\"\ndescription:\nactions:\n" +
			"  x: {command: [ls], timeout: 10m, pool: default}\n  y: {command: [pwd], parameters: {type: object, minProperties: 1}, policy: {}}\n"},
	}
	for name, files := range same {
		require.Equal(t, want, digest(files), name)
	}
	require.NotEqual(t, want, digest(map[string]string{
		"pack.yaml": "name: a\nversion: \"1\"\nactions:\n  x: {command: [ls]}\n  y: {command: [pwd], parameters: {type: object, minProperties: 2}}\n",
	}))
}

func TestLoadAll(t *testing.T) {
	t.Parallel()
	a := folder(t, map[string]string{
		"pack.yaml": "name: a\ntriggers: {t: {}}\nactions: {x: {command: [ls]}}\nrules:\n  r: {trigger: b.t, action: core.echo}\n",
	})
	b := folder(t, map[string]string{
		"pack.yaml": "name: b\ntriggers: {t: {}}\nrules: {r: {trigger: a.t, action: a.x}}\n",
	})
	got, err := packs.LoadAll(t.TempDir(), []string{b, a, b + "/."})
	require.NoError(t, err)
	require.Len(t, got, 3, "core first, then in the order given, none twice")
	require.Equal(t, []string{"core", "b", "a"}, []string{got[0].Name, got[1].Name, got[2].Name})
	require.Equal(t, attune.Ref("a.x"), got[1].Rules[0].Action)
}

func TestLoadAll_WhatIsWrongAcrossPacks(t *testing.T) {
	t.Parallel()
	a := folder(t, map[string]string{"pack.yaml": `name: a
triggers:
  t: {webhook: {key: hook, secret_env: S}}
actions:
  x: {command: [ls], parameters: {required: [n], properties: {n: {type: integer}}}}
`})
	b := folder(t, map[string]string{
		"pack.yaml": "name: b\ntriggers:\n  t: {webhook: {key: hook, secret_env: S}}\n",
		"rules/r.yaml": `trigger: a.nope
action: nowhere.x
`,
		"rules/s.yaml": `trigger: core.manual
action: a.x
parameters:
  n: many
`,
		"rules/t.yaml": "trigger: t\naction: a.x\n",
		"rules/u.yaml": "trigger: t\naction: nope\n",
	})
	again := folder(t, map[string]string{"pack.yaml": "name: b\n"})
	_, err := packs.LoadAll(t.TempDir(), []string{a, b, again, filepath.Join(a, "missing")})
	requireProblems(t, err, map[string]string{"A": a, "B": b, "AGAIN": again},
		`A/missing: there is no such folder`,
		`B/pack.yaml:3:22: webhook key "hook" is taken by trigger "a.t"`,
		`B/rules/r.yaml:1:10: trigger: pack "a" has no trigger "nope": it has t`,
		`B/rules/s.yaml:1:10: trigger: no rule can listen to "core.manual": it records direct runs of actions`,
		`B/rules/s.yaml:4:6: parameters.n: got string, want integer`,
		`B/rules/t.yaml:2:9: parameters: missing property 'n'`,
		`B/rules/u.yaml:2:9: action: pack "b" has no action "nope": it has none`,
		`AGAIN/pack.yaml: the name "b" is taken by the pack in B`,
	)

	_, err = packs.LoadAll(t.TempDir(), []string{b})
	require.ErrorContains(t, err, `rules/r.yaml:1:10: trigger: there is no pack "a"`)
	require.ErrorContains(t, err, `rules/r.yaml:2:9: action: there is no pack "nowhere"`)
}

func TestLoadAll_DataFolderThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	_, err := packs.LoadAll(file, nil)
	require.ErrorContains(t, err, `data folder "`+file+`": the core pack cannot be written to it`)
	require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
}
