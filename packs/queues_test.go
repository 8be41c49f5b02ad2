package packs_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/packs"
)

// shopPack returns the files of a pack with two actions and the shared queue shop.deploys.
func shopPack(more map[string]string) map[string]string {
	files := map[string]string{
		"pack.yaml":           "name: shop\n",
		"queues/deploys.yaml": "description: One deployment at a time.\npolicy:\n  limit: 2\n  max_queued: 50\n",
		"actions/deploy.yaml": "command: [ls]\npolicy:\n  queue: deploys\n  limit: 1\n",
		"actions/test.yaml":   "command: [ls]\n",
	}
	for name, text := range more {
		files[name] = text
	}
	return files
}

func TestLoad_Queues(t *testing.T) {
	t.Parallel()

	t.Run("a queue and its actions are read", func(t *testing.T) {
		t.Parallel()
		dir := folder(t, shopPack(map[string]string{
			"pack.yaml": "name: shop\nqueues:\n  tests: {}\npolicy:\n  queue: shop.tests\n", "actions/lint.yaml": "command: [ls]\npolicy: {queue: shop.lint, max_queued: 5}\n",
		}))
		pack, err := load(t, dir)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff([]attune.SharedQueue{
			{Ref: "shop.deploys", Description: "One deployment at a time.", Policy: &attune.Policy{Limit: new(2), MaxQueued: new(50)}},
			{Ref: "shop.tests"},
		}, pack.Queues))
		require.Equal(t, attune.QueueKey("shop.tests"), *pack.Policy.Queue)
		require.Equal(t, attune.QueueKey("shop.deploys"), *pack.Actions[0].Policy.Queue)
		require.ElementsMatch(t, []attune.Join{
			{Queue: "shop.tests", Place: dir + "/pack.yaml:5:10"}, {Queue: "shop.deploys", Place: dir + "/actions/deploy.yaml:3:10"},
		}, pack.Joins, "an action that leaves the queue of its pack joins none")
	})

	t.Run("a queue changes the digest", func(t *testing.T) {
		t.Parallel()
		before, err := load(t, folder(t, shopPack(nil)))
		require.NoError(t, err)
		again, err := load(t, folder(t, shopPack(nil)))
		require.NoError(t, err)
		require.Equal(t, before.Digest, again.Digest, "the places of joins do not count")
		after, err := load(t, folder(t, shopPack(map[string]string{"queues/deploys.yaml": "policy: {limit: 3}\n"})))
		require.NoError(t, err)
		require.NotEqual(t, before.Digest, after.Digest)
	})

	t.Run("actions of another pack join, and a queue of a pack that is not loaded can be installed", func(t *testing.T) {
		t.Parallel()
		shop := folder(t, shopPack(nil))
		ops := folder(t, map[string]string{
			"pack.yaml": "name: ops\nactions:\n  restart: {command: [ls], policy: {queue: shop.deploys}}\n  tidy: {command: [ls], policy: {queue: infra.line}}\n",
		})
		all, err := packs.LoadAll(t.TempDir(), []string{shop, ops})
		require.NoError(t, err)
		require.Len(t, all[2].Joins, 2)
	})

	const misplaced = "the action shares the queue shop.deploys, and the field is about the whole queue: set it in the policy of the queue"
	for name, tt := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"a queue with the name of an action": {
			map[string]string{"queues/test.yaml": "description: a\n"},
			[]string{`P/queues/test.yaml: queue "test": the pack has an action of this name, which owns a queue of this name: use another name`},
		},
		"a queue that does not exist": {
			map[string]string{"actions/test.yaml": "command: [ls]\npolicy:\n  limit: 1\n  queue: nope\n"},
			[]string{`P/actions/test.yaml:4:10: queue: pack "shop" has no queue "nope": it has deploys`},
		},
		"the own queue of another action": {
			map[string]string{"pack.yaml": "name: shop\npolicy: {queue: shop.test}\n"},
			[]string{`P/pack.yaml:2:17: queue: pack "shop" has no queue "test": it has deploys`},
		},
		"a name that is no reference": {
			map[string]string{"actions/test.yaml": "command: [ls]\npolicy: {queue: De ploys}\n"},
			[]string{`P/actions/test.yaml:2:17: queue: reference "shop.De ploys" is not of the form "pack.name" (lower-case letters, digits, '_', '-')`},
		},
		"a queue that joins a queue": {
			map[string]string{"queues/deploys.yaml": "policy: {queue: shop.deploys}\n"},
			[]string{`P/queues/deploys.yaml:1:17: policy queue: a policy of the scope queue joins no queue: set the field on an action, or on a pack for all its actions`},
		},
		"an unknown key of a queue": {
			map[string]string{"queues/deploys.yaml": "limit: 2\n"},
			[]string{`P/queues/deploys.yaml:1:1: queue "deploys": unknown key "limit": use description, policy`},
		},
		"fields of the queue on an action that joins": {
			map[string]string{"actions/deploy.yaml": "command: [ls]\npolicy:\n  queue: deploys\n  across: skip\n  max_queued: 5\n  overflow: reject\n  queue_timeout: 5s\n"},
			[]string{
				"P/actions/deploy.yaml:4:11: across: " + misplaced, "P/actions/deploy.yaml:5:15: max_queued: " + misplaced,
				"P/actions/deploy.yaml:6:13: overflow: " + misplaced, "P/actions/deploy.yaml:7:18: queue_timeout: " + misplaced,
			},
		},
		"fields of the queue on an action whose pack joins": {
			map[string]string{"pack.yaml": "name: shop\npolicy: {queue: deploys}\n", "actions/test.yaml": "command: [ls]\npolicy: {max_queued: 5}\n"},
			[]string{"P/actions/test.yaml:2:22: max_queued: " + misplaced},
		},
		"a limit of a pack whose actions all share a queue": {
			map[string]string{"pack.yaml": "name: shop\npolicy:\n  queue: deploys\n  limit: 3\n"},
			[]string{"P/pack.yaml:4:10: limit: the limit of a pack is a default for the queue that each action owns, and every action of the pack " +
				"shares a queue: set the limit in the policy of the queue shop.deploys"},
		},
		"a key of a queue that reads a secret of an action": {
			map[string]string{
				"queues/deploys.yaml": "policy:\n  key: parameters.token\n",
				"actions/deploy.yaml": "command: [ls]\nparameters: {properties: {token: {writeOnly: true}}}\npolicy: {queue: deploys}\n",
			},
			[]string{`P/queues/deploys.yaml:2:8: key, for action "shop.deploy": reads /token of the parameters, which is a secret field or has ` +
				`one inside: people see the value of a key, so it can only test whether a secret field exists`},
		},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			dir := folder(t, shopPack(tt.files))
			_, err := load(t, dir)
			requireProblems(t, err, map[string]string{"P": dir}, tt.want...)
		})
	}
}
