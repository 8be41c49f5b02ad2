package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const queueDeclaredSQL = `SELECT EXISTS (SELECT FROM queues WHERE key = $1 AND action_id IS NULL AND declared)`

// checkJoins checks a document that a person has stored: that the shared queue which it names is declared, that no action which it
// covers sets a field of the shared queue that the action uses now, and that the shared queues which it covers stay within their bounds.
func checkJoins(ctx context.Context, tx pgx.Tx, scope policy.Scope, ref string, document attune.Policy) error {
	if err := policy.CheckScope(scope, document); err != nil {
		return err
	}
	if queue := document.Queue; queue != nil && !(scope == policy.ScopeAction && string(*queue) == ref) {
		declared, err := one(ctx, tx, pgx.RowTo[bool], queueDeclaredSQL, *queue)
		if err != nil {
			return err
		}
		if !declared {
			return policy.UnknownQueue(*queue)
		}
	}
	if err := checkOwnFields(ctx, tx, scope, ref); err != nil {
		return err
	}
	shared, err := collect(ctx, tx, pgx.RowTo[attune.QueueKey], coveredSharedSQL, scope, ref)
	if err != nil {
		return err
	}
	return checkBounds(ctx, tx, shared)
}

const coveredActionsSQL = `
SELECT a.ref FROM actions a WHERE a.enabled AND ($1 = 'pack' AND a.pack = $2 OR $1 = 'action' AND a.ref = $2) ORDER BY a.ref`

// checkOwnFields expects the documents of the actions that a scope covers to leave the fields of their shared queues alone.
func checkOwnFields(ctx context.Context, tx pgx.Tx, scope policy.Scope, ref string) error {
	actions, err := collect(ctx, tx, pgx.RowTo[attune.Ref], coveredActionsSQL, scope, ref)
	if err != nil || len(actions) == 0 {
		return err
	}
	levels, err := readLevels(ctx, tx, nil, actions)
	if err != nil {
		return err
	}
	documents := policy.NewIndex(levels)
	for _, level := range levels {
		action := attune.Ref(level.Ref)
		if level.Scope != policy.ScopeAction {
			continue
		}
		if queue := documents.QueueOf(action); queue != policy.DefaultQueue(action) {
			if err := policy.CheckJoined(level.Policy, queue); err != nil {
				return attune.WrapError(attune.CodeInvalid, err, "action %q", action)
			}
		}
	}
	return nil
}

const coveredSharedSQL = `
SELECT q.key FROM (VALUES ($1::text, $2::text)) AS c (scope, ref) JOIN queues q ON q.action_id IS NULL AND ` + coveredQueue + `
ORDER BY q.key`

const sharedQueuesSQL = `SELECT key FROM queues WHERE action_id IS NULL ORDER BY key`

// checkBounds expects the policies of shared queues to stay within their bounds: see [policy.CheckShared]. Actions that have left a queue
// do not count.
func checkBounds(ctx context.Context, tx pgx.Tx, keys []attune.QueueKey) error {
	queues := make([]*lockedQueue, len(keys))
	for i, key := range keys {
		queues[i] = &lockedQueue{queueName: queueName{key: key}}
	}
	policies, err := readPolicies(ctx, tx, queues, staying{})
	if err != nil {
		return err
	}
	for _, queue := range queues {
		if err := policy.CheckShared(queue.key, policies.of(queue.queueName)); err != nil {
			return err
		}
	}
	return nil
}

// checkInstalled checks, after the documents of all packs are stored, what checkJoins checks of the document of a person. A person can
// have set fields of an action that joins a shared queue with the new version of its pack.
func checkInstalled(ctx context.Context, tx pgx.Tx, packs []attune.Pack) error {
	if len(packs) == 0 {
		return nil
	}
	for _, pack := range packs {
		if err := checkOwnFields(ctx, tx, policy.ScopePack, pack.Name); err != nil {
			return attune.WrapError(attune.CodeInvalid, err, "pack %q", pack.Name)
		}
	}
	shared, err := collect(ctx, tx, pgx.RowTo[attune.QueueKey], sharedQueuesSQL)
	if err != nil {
		return err
	}
	return checkBounds(ctx, tx, shared)
}
