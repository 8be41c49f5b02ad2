package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// documentInForce selects the documents p that have not ended. PostgreSQL's clock decides.
const documentInForce = `(p.until IS NULL OR p.until > clock_timestamp())`

// announceChanged records the documents that the CTE "changed" has changed, so that [Queues.FollowPolicies] finds the queues that
// they cover.
const announceChanged = `
INSERT INTO policy_changes (scope, ref) SELECT scope, ref FROM changed`

// coveredQueue selects the queues q that the documents of scope c.scope and reference c.ref cover. The documents of an action and of a
// pack also cover the shared queues that they name, and those whose policy has an entry for the action or for an action of the pack.
const coveredQueue = `(c.scope = 'global' OR c.scope = 'queue' AND q.key = c.ref
	OR c.scope = 'pack' AND split_part(q.key, '.', 1) = c.ref
	OR c.scope = 'action' AND q.action_id = (SELECT a.id FROM actions a WHERE a.ref = c.ref)
	OR q.action_id IS NULL AND c.scope IN ('action', 'pack') AND (
		EXISTS (SELECT FROM policies n WHERE n.document ->> 'queue' = q.key
			AND (n.scope, n.ref) IN ((c.scope, c.ref), ('pack', split_part(c.ref, '.', 1))))
		OR EXISTS (SELECT FROM json_array_elements(q.policy -> 'actions') e
			WHERE e ->> 'ref' = c.ref OR split_part(e ->> 'ref', '.', 1) = c.ref)))`

// endPoliciesSQL keeps each document that ends, with its author, in the audit log.
const endPoliciesSQL = `
WITH changed AS (
	DELETE FROM policies WHERE until <= clock_timestamp() RETURNING *
), audited AS (
	INSERT INTO audit (at, principal, auth_method, role, token, action, subject, on_behalf_of, note, request_id, remote, status, omitted,
		detail)
	SELECT clock_timestamp(), 'attune', 'system', '', '', CASE scope WHEN 'global' THEN 'global-policy.end' ELSE 'policy.end' END,
		CASE scope WHEN 'global' THEN '' ELSE scope || ' ' || ref END, '', 'its time is over', '', '', 200, 0,
		json_build_object('policy', document, 'revision', revision, 'until', until, 'set_at', updated_at, 'set_by',
			json_build_object('principal', json_build_object('name', principal, 'method', auth_method), 'on_behalf_of', on_behalf_of,
				'note', note))
	FROM changed
)` + announceChanged

// nextChangeSQL lets several processes share the work: each takes another change.
const nextChangeSQL = `SELECT id FROM policy_changes ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED`

const nextQueuesSQL = `
SELECT q.id FROM policy_changes c JOIN queues q ON q.id > c.last_queue AND ` + coveredQueue + `
WHERE c.id = $1 ORDER BY q.id LIMIT $2`

const changeProgressSQL = `UPDATE policy_changes SET last_queue = $2 WHERE id = $1`

const changeDoneSQL = `DELETE FROM policy_changes WHERE id = $1`

// followBatch is how many queues one transaction resolves. Their rows are locked until it ends, so arrivals wait for it.
const followBatch = 100

// FollowPolicies ends the documents whose time has come. Then it takes one changed document, and resolves the policies of the next
// queues that the document covers, in the order of their ids. It returns, without tickets, the queues whose policy has changed; their
// workflows must be told. more is false when there is nothing left to do, or other processes do it.
//
// The queues are untold until [Queues.PoliciesTold], so a crash after the transaction loses none: see [Queues.UntoldPolicies].
func (q *Queues) FollowPolicies(ctx context.Context) (changed []attune.Admission, more bool, err error) {
	err = q.db.inTx(ctx, "follow changed policies", func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, endPoliciesSQL); err != nil {
			return err
		}
		changes, err := collect(ctx, tx, pgx.RowTo[int64], nextChangeSQL)
		if err != nil || len(changes) == 0 {
			return err
		}
		more = true
		changed, err = followChange(ctx, tx, changes[0])
		return err
	})
	return changed, more, err
}

// followChange resolves the policies of the next queues of a change, whose row is locked.
func followChange(ctx context.Context, tx pgx.Tx, change int64) ([]attune.Admission, error) {
	ids, err := collect(ctx, tx, pgx.RowTo[attune.QueueID], nextQueuesSQL, change, followBatch)
	if err != nil {
		return nil, err
	}
	queues, err := lockAndResolveQueues(ctx, tx, ids, staying{stored: true})
	if err != nil {
		return nil, err
	}
	var admissions []attune.Admission
	var follow []*lockedQueue
	for _, queue := range queues {
		if queue.policyChanged && queue.policy.Revision > 1 { // a queue without a policy gets one with its first enforcement
			follow = append(follow, queue)
			admissions = append(admissions, attune.Admission{Queue: queue.key, Policy: queue.policy})
		}
	}
	batch := new(pgx.Batch)
	addChangedQueues(batch, follow...)
	addUntold(batch, follow)
	if len(ids) < followBatch {
		batch.Queue(changeDoneSQL, change)
	} else {
		batch.Queue(changeProgressSQL, change, ids[len(ids)-1])
	}
	return admissions, tx.SendBatch(ctx, batch).Close()
}

const addUntoldSQL = `
INSERT INTO untold_policies (queue_id, revision, at)
SELECT u.queue_id, u.revision, clock_timestamp() - $3::bigint * interval '1 millisecond'
FROM unnest($1::bigint[], $2::bigint[]) AS u (queue_id, revision)
ON CONFLICT (queue_id) DO UPDATE SET revision = EXCLUDED.revision, at = EXCLUDED.at`

// headStart is the time in which the process that has resolved the policy of a queue tells the queue. After that, any process does.
const headStart = 2 * time.Second

// addUntold marks locked queues as untold whose policy the calling process is about to tell.
func addUntold(batch *pgx.Batch, queues []*lockedQueue) { addUntoldSince(batch, queues, 0) }

// addLeftUntold marks locked queues as untold whose policy the calling process does not tell: the next process that looks does.
func addLeftUntold(batch *pgx.Batch, queues []*lockedQueue) { addUntoldSince(batch, queues, headStart) }

func addUntoldSince(batch *pgx.Batch, queues []*lockedQueue, age time.Duration) {
	if len(queues) == 0 {
		return
	}
	ids, revisions := make([]attune.QueueID, len(queues)), make([]int64, len(queues))
	for i, queue := range queues {
		ids[i], revisions[i] = queue.id, queue.policy.Revision
	}
	batch.Queue(addUntoldSQL, ids, revisions, age.Milliseconds())
}

// untoldSQL leaves out the queues whose policy was resolved a moment ago: the process that resolved it is about to tell them.
const untoldSQL = `
SELECT q.key, q.policy FROM untold_policies u JOIN queues q ON q.id = u.queue_id
WHERE u.at <= clock_timestamp() - $2::bigint * interval '1 millisecond' ORDER BY u.at LIMIT $1`

// UntoldPolicies returns queues, without tickets, whose workflow should have been told its policy before, those that wait the longest
// first. There are some after a crash, while Temporal does not answer, or after an admission that changed a policy and refused every
// newcomer.
func (q *Queues) UntoldPolicies(ctx context.Context, limit int) ([]attune.Admission, error) {
	untold, err := collect(ctx, q.db.pool, func(row pgx.CollectableRow) (a attune.Admission, err error) {
		err = row.Scan(&a.Queue, &a.Policy)
		return a, err
	}, untoldSQL, limit, headStart.Milliseconds())
	return untold, wrap("read untold policies", err)
}

const policiesToldSQL = `
DELETE FROM untold_policies t USING unnest($1::text[], $2::bigint[]) AS u (key, revision), queues q
WHERE q.key = u.key AND t.queue_id = q.id AND t.revision <= u.revision`

// PoliciesTold records that the workflows of queues know these policies, or newer ones.
func (q *Queues) PoliciesTold(ctx context.Context, told []attune.Admission) error {
	keys, revisions := make([]attune.QueueKey, len(told)), make([]int64, len(told))
	for i, queue := range told {
		keys[i], revisions[i] = queue.Queue, queue.Policy.Revision
	}
	_, err := q.db.pool.Exec(ctx, policiesToldSQL, keys, revisions)
	return wrap("record told policies", err)
}

// reachSQL counts a queue as not told while a change of the document has not come to it, or its workflow is untold.
const reachSQL = `
SELECT count(*) FILTER (WHERE NOT behind), count(*) FILTER (WHERE behind) FROM (
	SELECT EXISTS (SELECT FROM policy_changes d WHERE d.scope = c.scope AND d.ref = c.ref AND d.last_queue < q.id)
		OR EXISTS (SELECT FROM untold_policies u WHERE u.queue_id = q.id) AS behind
	FROM (VALUES ($1::text, $2::text)) AS c (scope, ref) JOIN queues q ON q.policy_revision > 0 AND ` + coveredQueue + `
) b`

// Reach counts the queues that follow the documents of a scope.
func (q *Queues) Reach(ctx context.Context, scope policy.Scope, ref string) (policy.Reach, error) {
	reach, err := one(ctx, q.db.pool, pgx.RowToStructByPos[policy.Reach], reachSQL, scope, ref)
	return reach, wrap("count the queues of a policy", err)
}
