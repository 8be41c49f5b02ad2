package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// packPolicies are the documents of one pack, as columns.
type packPolicies struct {
	scopes    []policy.Scope
	refs      []string
	documents []attune.Policy
}

func (c *packPolicies) add(scope policy.Scope, ref string, document *attune.Policy) {
	if document != nil {
		c.scopes, c.refs, c.documents = append(c.scopes, scope), append(c.refs, ref), append(c.documents, *document)
	}
}

// dropPoliciesSQL deletes what a pack no longer says. The pack of a scope is the first part of the scope's reference.
const dropPoliciesSQL = `
DELETE FROM policies p
WHERE p.origin = 'pack' AND split_part(p.ref, '.', 1) = $1
	AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS u (scope, ref) WHERE u.scope = p.scope AND u.ref = p.ref)`

// upsertPoliciesSQL leaves a document that has not changed alone, so that it keeps its revision.
const upsertPoliciesSQL = `
INSERT INTO policies AS p (scope, ref, origin, document)
SELECT u.scope, u.ref, 'pack', u.document FROM unnest($1::text[], $2::text[], $3::json[]) AS u (scope, ref, document)
ON CONFLICT (scope, ref, origin) DO UPDATE SET
	document = EXCLUDED.document, revision = p.revision + 1, updated_at = clock_timestamp()
WHERE p.document::text <> EXCLUDED.document::text`

// addPolicies replaces what a pack says about itself and its actions. What persons say stays.
func addPolicies(batch *pgx.Batch, pack attune.Pack) {
	var said packPolicies
	said.add(policy.ScopePack, pack.Name, pack.Policy)
	for _, action := range pack.Actions {
		said.add(policy.ScopeAction, string(action.Ref), action.Policy)
	}
	batch.Queue(dropPoliciesSQL, pack.Name, said.scopes, said.refs)
	batch.Queue(upsertPoliciesSQL, said.scopes, said.refs, said.documents)
}

// queueName is the key of a queue, and the action that owns it; a queue that actions share has no owner.
type queueName struct {
	key   attune.QueueKey
	owner attune.Ref
}

// pack is the pack that the queue belongs to: keys begin with it, like references.
func (n queueName) pack() string { return attune.Ref(n.key).Pack() }

const policiesSQL = `
SELECT p.scope, p.ref, p.origin, p.document FROM policies p
WHERE p.scope = 'global' OR p.scope = 'pack' AND p.ref = ANY ($1::text[]) OR p.scope = 'queue' AND p.ref = ANY ($2::text[])
	OR p.scope = 'action' AND p.ref = ANY ($3::text[])
ORDER BY p.scope, p.ref, p.origin`

// readLevels returns what every scope says that covers one of the queues.
func readLevels(ctx context.Context, q querier, queues ...queueName) (levels, error) {
	packs, keys, owners := make([]string, len(queues)), make([]attune.QueueKey, len(queues)), make([]attune.Ref, len(queues))
	for i, queue := range queues {
		packs[i], keys[i], owners[i] = queue.pack(), queue.key, queue.owner
	}
	return collect(ctx, q, scanLevel, policiesSQL, packs, keys, owners)
}

func scanLevel(row pgx.CollectableRow) (policy.Level, error) {
	var level policy.Level
	err := row.Scan(&level.Scope, &level.Ref, &level.Origin, &level.Policy)
	return level, err
}

// levels are what the scopes say about some queues.
type levels []policy.Level

// resolve returns the policy in force for one queue.
func (l levels) resolve(queue queueName) policy.Effective {
	refs := map[policy.Scope]string{
		policy.ScopeAction: string(queue.owner), policy.ScopeQueue: string(queue.key), policy.ScopePack: queue.pack(),
		policy.ScopeGlobal: "",
	}
	return policy.Resolve(slices.DeleteFunc(slices.Clone(l), func(level policy.Level) bool {
		return level.Ref != refs[level.Scope]
	})...)
}

// waitingQueuesSQL leaves out queues that have not accepted anything: they resolve their policy when they do.
const waitingQueuesSQL = `
SELECT q.id, EXISTS (SELECT FROM enforcements e WHERE e.queue_id = q.id AND e.status = 'queued')
FROM queues q WHERE q.policy_revision > 0`

// ApplyPolicies resolves the policy of every queue again and returns, without tickets, the queues that should hear about
// theirs: those whose policy has changed, now under its new revision, and all in which somebody waits, so that repeating
// the call after a crash tells them again. Call it after a change of policy: a queue otherwise learns about the change
// when it next accepts an enforcement.
func (q *Queues) ApplyPolicies(ctx context.Context) ([]attune.Admission, error) {
	var concerned []attune.Admission
	err := q.db.inTx(ctx, "apply policies", func(tx pgx.Tx) error {
		waiting, err := readWaiting(ctx, tx)
		if err != nil {
			return err
		}
		lines, err := lockLines(ctx, tx, slices.Collect(maps.Keys(waiting)))
		if err != nil {
			return err
		}
		for _, line := range lines {
			if line.renewed || waiting[line.id] {
				concerned = append(concerned, attune.Admission{Queue: line.key, Policy: line.policy})
			}
		}
		batch := new(pgx.Batch)
		addLines(batch, lines)
		return tx.SendBatch(ctx, batch).Close()
	})
	return concerned, err
}

// readWaiting returns for every queue whether an enforcement waits in it.
func readWaiting(ctx context.Context, tx pgx.Tx) (map[attune.QueueID]bool, error) {
	rows, err := tx.Query(ctx, waitingQueuesSQL)
	if err != nil {
		return nil, err
	}
	waiting := make(map[attune.QueueID]bool)
	var id attune.QueueID
	var waits bool
	_, err = pgx.ForEachRow(rows, []any{&id, &waits}, func() error {
		waiting[id] = waits
		return nil
	})
	return waiting, err
}
