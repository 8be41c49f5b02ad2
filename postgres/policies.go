package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// packPolicies are the policy documents of one pack, as columns.
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

// dropPoliciesSQL deletes the documents that a pack no longer contains. A reference begins with the name of its pack.
const dropPoliciesSQL = `
WITH changed AS (
	DELETE FROM policies p
	WHERE p.origin = 'pack' AND split_part(p.ref, '.', 1) = $1
		AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS u (scope, ref) WHERE u.scope = p.scope AND u.ref = p.ref)
	RETURNING p.scope, p.ref
)` + announceChanged

// upsertPoliciesSQL skips unchanged documents, so that they keep their revision.
const upsertPoliciesSQL = `
WITH changed AS (
	INSERT INTO policies AS p (scope, ref, origin, document)
	SELECT u.scope, u.ref, 'pack', u.document FROM unnest($1::text[], $2::text[], $3::json[]) AS u (scope, ref, document)
	ON CONFLICT (scope, ref, origin) DO UPDATE SET
		document = EXCLUDED.document, revision = p.revision + 1, updated_at = clock_timestamp()
	WHERE p.document::text <> EXCLUDED.document::text
	RETURNING p.scope, p.ref
)` + announceChanged

// addPolicies replaces the documents of a pack for itself, its actions and its shared queues. It keeps the documents that people set.
func addPolicies(batch *pgx.Batch, pack attune.Pack) {
	var policies packPolicies
	policies.add(policy.ScopePack, pack.Name, pack.Policy)
	for _, action := range pack.Actions {
		policies.add(policy.ScopeAction, string(action.Ref), action.Policy)
	}
	for _, queue := range pack.Queues {
		policies.add(policy.ScopeQueue, string(queue.Ref), queue.Policy)
	}
	batch.Queue(dropPoliciesSQL, pack.Name, policies.scopes, policies.refs)
	batch.Queue(upsertPoliciesSQL, policies.scopes, policies.refs, policies.documents)
}

const policiesSQL = `
SELECT p.scope, p.ref, p.origin, p.revision, p.document FROM policies p
WHERE ` + documentInForce + ` AND (p.scope = 'global' OR p.scope = 'pack' AND p.ref = ANY ($1::text[])
	OR p.scope = 'queue' AND p.ref = ANY ($2::text[]) OR p.scope = 'action' AND p.ref = ANY ($3::text[]))
ORDER BY p.scope, p.ref, p.origin`

// readLevels returns the policy documents of all scopes that cover any of the queues, or any of the actions in them.
func readLevels(ctx context.Context, q querier, queues []attune.QueueKey, actions []attune.Ref) (levels, error) {
	var packs []string
	for _, key := range queues {
		packs = append(packs, attune.Ref(key).Pack())
	}
	for _, action := range actions {
		packs = append(packs, action.Pack())
	}
	slices.Sort(packs)
	return collect(ctx, q, scanLevel, policiesSQL, slices.Compact(packs), queues, actions)
}

func scanLevel(row pgx.CollectableRow) (policy.Level, error) {
	var level policy.Level
	err := row.Scan(&level.Scope, &level.Ref, &level.Origin, &level.Revision, &level.Policy)
	return level, err
}

// levels are policy documents.
type levels []policy.Level

// placingDocuments selects the policy documents that choose the queue of action a, its lane in that queue, or rates or quotas, as a JSON
// array of levels, or NULL. It is part of the statement that reads the action, so both are of one instant. Few documents do that, and
// the index policies_at_ingest has only these.
const placingDocuments = `(
	SELECT json_agg(json_build_object('scope', p.scope, 'ref', p.ref, 'origin', p.origin,
		'revision', p.revision, 'policy', p.document)) FROM policies p
	WHERE (p.document ->> 'key' IS NOT NULL OR p.document ->> 'queue' IS NOT NULL
			OR p.document -> 'rate' IS NOT NULL OR p.document -> 'quota' IS NOT NULL)
		AND ` + documentInForce + `
		AND ((p.scope, p.ref) IN (('action', a.ref), ('queue', a.ref), ('pack', a.pack), ('global', ''))
			OR p.scope = 'queue' AND p.ref IN (SELECT n.document ->> 'queue' FROM policies n
				WHERE n.document ->> 'queue' IS NOT NULL AND (n.scope, n.ref) IN (('action', a.ref), ('pack', a.pack)))))`

// place sets the shared queue of an action, the key that chooses the lanes of its enforcements, and the rates and quotas that judge
// them, from the documents of placingDocuments.
func (l levels) place(action *attune.Action) {
	if len(l) == 0 {
		return
	}
	queue, effective := policy.Of(action.Ref, l)
	action.Key, action.Gates = effective.Policy.Key, effective.Gates.AtAdmission()
	if queue != policy.DefaultQueue(action.Ref) {
		action.Queue = queue
	}
}

// busyQueuesSQL skips unused queues: their policy is resolved when their first enforcement is admitted.
const busyQueuesSQL = `
SELECT q.id, EXISTS (SELECT FROM enforcements e WHERE e.queue_id = q.id AND e.status IN ('queued', 'granted'))
FROM queues q WHERE q.policy_revision > 0`

// ApplyPolicies resolves the policy of every used queue again. It returns, without tickets, the queues whose workflow must be
// told its policy: queues with a changed policy, under a new revision, and all queues whose enforcements wait or hold slots. The
// latter start workflows that Temporal has lost. [Queues.UntoldPolicies] returns the same queues until [Queues.PoliciesTold]. Changes
// of documents do not need ApplyPolicies: see [Queues.FollowPolicies]. The policy of a shared queue forgets the actions that have left
// the queue and have no enforcement in it.
func (q *Queues) ApplyPolicies(ctx context.Context) ([]attune.Admission, error) {
	var admissions []attune.Admission
	err := q.db.inTx(ctx, "apply policies", func(tx pgx.Tx) error {
		busy, err := readBusy(ctx, tx)
		if err != nil {
			return err
		}
		present, err := readPresent(ctx, tx)
		if err != nil {
			return err
		}
		queues, err := lockAndResolveQueues(ctx, tx, slices.Collect(maps.Keys(busy)), staying{present: present})
		if err != nil {
			return err
		}
		for _, queue := range queues {
			if queue.policyChanged || busy[queue.id] {
				admissions = append(admissions, attune.Admission{Queue: queue.key, Policy: queue.policy})
			}
		}
		batch := new(pgx.Batch)
		addChangedQueues(batch, queues...)
		addUntold(batch, slices.DeleteFunc(queues, func(q *lockedQueue) bool { return !q.policyChanged && !busy[q.id] }))
		return tx.SendBatch(ctx, batch).Close()
	})
	return admissions, err
}

// readBusy returns, for every used queue, whether an enforcement waits or holds a slot in it.
func readBusy(ctx context.Context, tx pgx.Tx) (map[attune.QueueID]bool, error) {
	rows, err := tx.Query(ctx, busyQueuesSQL)
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
