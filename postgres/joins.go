package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

const queueDeclaredSQL = `SELECT EXISTS (SELECT FROM queues WHERE key = $1 AND action_id IS NULL AND declared)`

const coveredActionsSQL = `
SELECT a.ref FROM actions a WHERE a.enabled AND ($1 = 'pack' AND a.pack = $2 OR $1 = 'action' AND a.ref = $2) ORDER BY a.ref`

// checkJoins checks a document that a person has stored: that the shared queue which it names is declared, and that no action which it
// covers sets a field of the shared queue that the action uses now.
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
	actions, err := collect(ctx, tx, pgx.RowTo[attune.Ref], coveredActionsSQL, scope, ref)
	if err != nil || len(actions) == 0 {
		return err
	}
	levels, err := readLevels(ctx, tx, nil, actions)
	if err != nil {
		return err
	}
	for _, action := range actions {
		queue := policy.QueueOf(action, levels)
		if queue == policy.DefaultQueue(action) {
			continue
		}
		for _, level := range levels {
			if level.Scope != policy.ScopeAction || level.Ref != string(action) {
				continue
			}
			if err := policy.CheckJoined(level.Policy, queue); err != nil {
				return attune.WrapError(attune.CodeInvalid, err, "action %q", action)
			}
		}
	}
	return nil
}
