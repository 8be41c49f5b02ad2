package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const retireQueuesSQL = `
UPDATE queues SET declared = false
WHERE id IN (SELECT id FROM queues WHERE action_id IS NULL AND declared AND split_part(key, '.', 1) = $1 AND key <> ALL ($2::text[])
	ORDER BY id FOR NO KEY UPDATE)`

const insertSharedQueuesSQL = `
INSERT INTO queues (key, description, policy)
SELECT u.key, u.description, $3::json FROM unnest($1::text[], $2::text[]) AS u (key, description)
WHERE NOT EXISTS (SELECT FROM queues q WHERE q.key = u.key) ORDER BY u.key COLLATE "C"
ON CONFLICT (key) DO NOTHING`

// describeQueuesSQL locks only rows that change, in the order of ids like lockQueuesByIDSQL.
const describeQueuesSQL = `
WITH changed AS MATERIALIZED (
	SELECT q.id, u.description FROM queues q JOIN unnest($1::text[], $2::text[]) AS u (key, description) ON u.key = q.key COLLATE "C"
	WHERE q.action_id IS NULL AND (NOT q.declared OR q.description <> u.description) ORDER BY q.id FOR NO KEY UPDATE OF q
)
UPDATE queues q SET declared = true, description = c.description FROM changed c WHERE q.id = c.id`

// queuesOfActionsSQL finds the references of a pack that name an action and a shared queue. Neither is ever deleted.
const queuesOfActionsSQL = `
SELECT a.ref FROM actions a WHERE a.pack = $1 AND (a.ref = ANY ($2::text[])
	OR EXISTS (SELECT FROM queues q WHERE q.key = a.ref AND q.action_id IS NULL)) ORDER BY a.ref LIMIT 1`

// addSharedQueues stores the shared queues of a pack. It runs after the statements that store its actions.
func addSharedQueues(batch *pgx.Batch, pack attune.Pack) {
	keys, descriptions := make([]string, len(pack.Queues)), make([]string, len(pack.Queues))
	for i, queue := range pack.Queues {
		keys[i], descriptions[i] = string(queue.Ref), queue.Description
	}
	batch.Queue(queuesOfActionsSQL, pack.Name, keys).Query(func(rows pgx.Rows) error {
		refs, err := pgx.CollectRows(rows, pgx.RowTo[attune.Ref])
		if err == nil && len(refs) > 0 {
			return attune.Errorf(attune.CodeConflict, "queue %q of pack %q: the pack has or had an action of this name, "+
				"and a shared queue must have another", refs[0].Name(), pack.Name)
		}
		return err
	})
	batch.Queue(retireQueuesSQL, pack.Name, keys)
	batch.Queue(insertSharedQueuesSQL, keys, descriptions, policy.OwnQueue(0, policy.Defaults()))
	batch.Queue(describeQueuesSQL, keys, descriptions)
}

const declaredQueueSQL = `SELECT FROM queues WHERE key = $1 AND action_id IS NULL AND declared`

// addJoins expects the shared queues that the policies of a pack name. It runs after the statements that store all packs.
func addJoins(batch *pgx.Batch, pack attune.Pack) {
	for _, join := range pack.Joins {
		batch.Queue(declaredQueueSQL, join.Queue).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return attune.Errorf(attune.CodeInvalid, "%s: queue: no installed pack declares the shared queue %q",
					join.Place, join.Queue)
			}
			return nil
		})
	}
}

// staying says which actions a shared queue keeps in its policy although they have left the queue.
type staying struct {
	present present // the actions with enforcements there
	stored  bool    // all actions of the stored policy; [Queues.ApplyPolicies] removes those without enforcements
}

func (s staying) has(q *lockedQueue, action attune.ActionID) bool {
	if s.present[q.id][action] || !s.stored {
		return s.present[q.id][action]
	}
	_, found := slices.BinarySearchFunc(q.policy.Actions, action, func(of attune.ActionPolicy, id attune.ActionID) int {
		return cmp.Compare(of.Action, id) // [policy.Index.SharedQueue] sorts
	})
	return found
}

// of returns the actions that can stay in a queue.
func (s staying) of(q *lockedQueue) []attune.ActionID {
	ids := slices.Collect(maps.Keys(s.present[q.id]))
	for _, of := range q.policy.Actions {
		ids = append(ids, of.Action)
	}
	return ids
}

// present are the actions that have enforcements in a queue.
type present map[attune.QueueID]map[attune.ActionID]bool

func (p present) add(queue attune.QueueID, action attune.ActionID) {
	if p[queue] == nil {
		p[queue] = make(map[attune.ActionID]bool)
	}
	p[queue][action] = true
}

const presentSQL = `
SELECT DISTINCT e.queue_id, e.action_id FROM enforcements e JOIN queues q ON q.id = e.queue_id
WHERE q.action_id IS NULL AND e.status IN ('created', 'queued', 'granted', 'parked')`

// readPresent returns the actions with enforcements that have not ended, of shared queues.
func readPresent(ctx context.Context, tx pgx.Tx) (present, error) {
	rows, err := tx.Query(ctx, presentSQL)
	if err != nil {
		return nil, err
	}
	found := make(present)
	var queue attune.QueueID
	var action attune.ActionID
	_, err = pgx.ForEachRow(rows, []any{&queue, &action}, func() error {
		found.add(queue, action)
		return nil
	})
	return found, err
}

// policies are the policy documents that cover some queues, with the actions that use the shared ones.
type policies struct {
	levels  levels
	index   policy.Index // of levels
	members map[attune.QueueKey][]policy.Member
}

// with returns the policies with other documents.
func (p policies) with(documents levels) policies {
	p.levels, p.index = documents, policy.NewIndex(documents)
	return p
}

// of resolves the policy of a queue.
func (p policies) of(queue queueName) attune.QueuePolicy {
	if queue.shared() {
		return p.index.SharedQueue(queue.key, p.members[queue.key])
	}
	effective := p.effective(queue)
	own := policy.OwnQueue(queue.ownerID, effective.Policy)
	own.Rates, own.Actions[0].Rates = effective.Gates.Starts()
	return own
}

// effective resolves the policy of a queue with the source of each field.
func (p policies) effective(queue queueName) policy.Effective {
	if queue.shared() {
		return p.index.OfShared(queue.key, p.members[queue.key])
	}
	return p.index.OfOwn(queue.owner)
}

// joinCandidatesSQL selects the actions that may use shared queues: documents name the queues for them, or their ids are given.
const joinCandidatesSQL = `
SELECT a.id, a.ref, a.enabled FROM actions a WHERE a.id = ANY ($2::bigint[])
	OR a.ref IN (SELECT p.ref FROM policies p WHERE p.scope = 'action' AND p.document ->> 'queue' = ANY ($1::text[]))
	OR a.pack IN (SELECT p.ref FROM policies p WHERE p.scope = 'pack' AND p.document ->> 'queue' = ANY ($1::text[]))
ORDER BY a.id`

// candidate is an action that may use a shared queue.
type candidate struct {
	policy.Member
	enabled bool
}

// readJoinCandidates returns the actions that may use shared queues. Without such queues it reads nothing.
func readJoinCandidates(ctx context.Context, q querier, queues []attune.QueueKey, ids []attune.ActionID) ([]candidate, error) {
	if len(queues) == 0 {
		return nil, nil
	}
	return collect(ctx, q, scanCandidate, joinCandidatesSQL, queues, ids)
}

func scanCandidate(row pgx.CollectableRow) (candidate, error) {
	var c candidate
	err := row.Scan(&c.Action, &c.Ref, &c.enabled)
	return c, err
}

// readPolicies reads the policy documents that cover locked queues. An action uses a shared queue if it is enabled and its
// documents say so, or if it stays.
func readPolicies(ctx context.Context, q querier, queues []*lockedQueue, stays staying) (policies, error) {
	var keys, shared []attune.QueueKey
	var actions []attune.Ref
	var ids []attune.ActionID
	for _, queue := range queues {
		keys = append(keys, queue.key)
		if !queue.shared() {
			actions = append(actions, queue.owner)
			continue
		}
		shared = append(shared, queue.key)
		ids = append(ids, stays.of(queue)...)
	}
	candidates, err := readJoinCandidates(ctx, q, shared, ids)
	if err != nil {
		return policies{}, err
	}
	for _, c := range candidates {
		actions = append(actions, c.Ref)
	}
	levels, err := readLevels(ctx, q, keys, actions)
	if err != nil {
		return policies{}, err
	}
	p := policies{members: make(map[attune.QueueKey][]policy.Member)}.with(levels)
	used := make(map[attune.ActionID]attune.QueueKey, len(candidates))
	for _, c := range candidates {
		if c.enabled {
			used[c.Action] = p.index.QueueOf(c.Ref)
		}
	}
	for _, queue := range queues {
		if !queue.shared() {
			continue
		}
		if err := p.addMembers(ctx, q, queue, candidates, used, stays); err != nil {
			return policies{}, err
		}
	}
	return p, nil
}

const presentInSQL = `
SELECT DISTINCT e.action_id FROM enforcements e
WHERE e.queue_id = $1 AND e.status IN ('created', 'queued', 'granted', 'parked')`

// addMembers adds the actions of a shared queue: those whose documents name the queue, and those that stay. used has the queue of each
// enabled candidate. A policy has a bounded size. So of more actions than can join a queue, those that have left stay only with
// enforcements.
func (p policies) addMembers(
	ctx context.Context, q querier, queue *lockedQueue, candidates []candidate, used map[attune.ActionID]attune.QueueKey, stays staying,
) error {
	var joined, left []policy.Member
	for _, c := range candidates {
		switch {
		case used[c.Action] == queue.key:
			joined = append(joined, c.Member)
		case stays.has(queue, c.Action):
			left = append(left, c.Member)
		}
	}
	if len(joined)+len(left) > attune.MaxQueueActions && len(left) > 0 {
		present, err := collect(ctx, q, pgx.RowTo[attune.ActionID], presentInSQL, queue.id)
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(m policy.Member) bool { return !slices.Contains(present, m.Action) })
	}
	p.members[queue.key] = slices.Concat(joined, left)
	return nil
}

// actionStatsSQL counts the actions with the given ids, and every other action that waits or holds slots in the queue.
const actionStatsSQL = `
WITH queue AS (
	SELECT id FROM queues WHERE key = $1
), waiting AS (
	SELECT e.action_id, count(*) AS count, min(e.queued_at) AS oldest_at FROM queue q
		JOIN enforcements e ON e.queue_id = q.id AND e.status = 'queued' GROUP BY e.action_id
), active AS (
	SELECT e.action_id, count(*) AS count FROM queue q JOIN enforcements e ON e.queue_id = q.id AND e.status = 'granted'
	GROUP BY e.action_id
)
SELECT a.id, a.ref, false, COALESCE(w.count, 0), COALESCE(c.count, 0), w.oldest_at
FROM actions a LEFT JOIN waiting w ON w.action_id = a.id LEFT JOIN active c ON c.action_id = a.id
WHERE a.id = ANY ($2::bigint[]) OR w.count > 0 OR c.count > 0 ORDER BY a.ref`

// readActionStats counts the actions of a shared queue.
func readActionStats(ctx context.Context, q querier, key attune.QueueKey, policies policies) ([]attune.ActionStats, error) {
	var ids []attune.ActionID
	for _, member := range policies.members[key] {
		ids = append(ids, member.Action)
	}
	stats, err := collect(ctx, q, pgx.RowToStructByPos[attune.ActionStats], actionStatsSQL, key, ids)
	for i := range stats {
		stats[i].Joined = policies.index.QueueOf(stats[i].Ref) == key
	}
	return stats, err
}
