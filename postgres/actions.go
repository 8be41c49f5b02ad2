package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const actionSelect = `
SELECT a.id, a.ref, a.description, a.enabled, a.command, a.env, a.schema, a.timeout_ms, a.pool, p.document
FROM actions a LEFT JOIN policies p ON p.scope = 'action' AND p.ref = a.ref AND p.origin = 'pack'`

const actionSQL = actionSelect + ` WHERE a.ref = $1`

// Action returns an action, also a disabled one, or [attune.CodeNotFound].
func (p *Packs) Action(ctx context.Context, ref attune.Ref) (attune.Action, error) {
	action, err := one(ctx, p.db.pool, scanAction, actionSQL, ref)
	return action, wrap("read action", found(err, "action %q does not exist", ref))
}

const listActionsSQL = actionSelect + `
WHERE ($1::bigint = 0 OR a.id < $1) ORDER BY a.id DESC LIMIT $2::bigint`

// Actions lists all actions, also disabled ones.
func (p *Packs) Actions(ctx context.Context, page attune.Page) ([]attune.Action, error) {
	return list(ctx, p.db, "list actions", page, scanAction, listActionsSQL)
}

func scanAction(row pgx.CollectableRow) (attune.Action, error) {
	var a attune.Action
	var timeoutMS int64
	err := row.Scan(&a.ID, &a.Ref, &a.Description, &a.Enabled, &a.Command, &a.Env, &a.Schema, &timeoutMS, &a.Pool, &a.Policy)
	a.Timeout = time.Duration(timeoutMS) * time.Millisecond
	return a, err
}

const poolsSQL = `SELECT DISTINCT a.pool FROM actions a WHERE a.enabled ORDER BY a.pool`

// Pools returns the pools that enabled actions run in.
func (p *Packs) Pools(ctx context.Context) ([]string, error) {
	pools, err := collect(ctx, p.db.pool, pgx.RowTo[string], poolsSQL)
	return pools, wrap("list pools", err)
}

const upsertActionSQL = `
INSERT INTO actions (ref, pack, description, command, env, schema, timeout_ms, pool)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, command = EXCLUDED.command, env = EXCLUDED.env, schema = EXCLUDED.schema,
	timeout_ms = EXCLUDED.timeout_ms, pool = EXCLUDED.pool, enabled = true`

func addActions(batch *pgx.Batch, pack attune.Pack) {
	for _, a := range pack.Actions {
		batch.Queue(upsertActionSQL, a.Ref, pack.Name, a.Description, orEmpty(a.Command), orEmpty(a.Env),
			orNull(a.Schema), milliseconds(a.Timeout), a.Pool)
	}
}
