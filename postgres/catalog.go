package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const triggerSelect = `
SELECT t.id, t.ref, t.description, t.schema, COALESCE(t.webhook_key, ''), t.webhook_secret_env, t.webhook_dedup_header
FROM triggers t WHERE t.declared`

const triggerSQL = triggerSelect + ` AND t.ref = $1`

// Trigger returns a declared trigger, or [attune.CodeNotFound].
func (p *Packs) Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error) {
	trigger, err := one(ctx, p.db.pool, scanTrigger, triggerSQL, ref)
	return trigger, wrap("read trigger", found(err, "trigger %q does not exist", ref))
}

const webhookTriggerSQL = triggerSelect + ` AND t.webhook_key = $1`

// WebhookTrigger returns the trigger that a webhook key feeds, or [attune.CodeNotFound].
func (p *Packs) WebhookTrigger(ctx context.Context, key string) (attune.Trigger, error) {
	trigger, err := one(ctx, p.db.pool, scanTrigger, webhookTriggerSQL, key)
	return trigger, wrap("read webhook trigger", found(err, "webhook %q does not exist", key))
}

const listTriggersSQL = triggerSelect + `
	AND ($1::bigint = 0 OR t.id < $1) ORDER BY t.id DESC LIMIT $2::bigint`

// Triggers lists the declared triggers.
func (p *Packs) Triggers(ctx context.Context, page attune.Page) ([]attune.Trigger, error) {
	return list(ctx, p.db, "list triggers", page, scanTrigger, listTriggersSQL)
}

func scanTrigger(row pgx.CollectableRow) (attune.Trigger, error) {
	var t attune.Trigger
	var webhook attune.Webhook
	err := row.Scan(&t.ID, &t.Ref, &t.Description, &t.Schema, &webhook.Key, &webhook.SecretEnv, &webhook.DedupHeader)
	if webhook.Key != "" {
		t.Webhook = &webhook
	}
	return t, err
}

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

const ruleSelect = `
SELECT r.id, r.ref, r.description, r.enabled, t.ref, a.ref, r.criteria, r.parameters
FROM rules r JOIN triggers t ON t.id = r.trigger_id JOIN actions a ON a.id = r.action_id`

const ruleSQL = ruleSelect + ` WHERE r.ref = $1`

// Rule returns a rule, also a disabled one, or [attune.CodeNotFound].
func (p *Packs) Rule(ctx context.Context, ref attune.Ref) (attune.Rule, error) {
	rule, err := one(ctx, p.db.pool, scanRule, ruleSQL, ref)
	return rule, wrap("read rule", found(err, "rule %q does not exist", ref))
}

const listRulesSQL = ruleSelect + `
WHERE ($1::bigint = 0 OR r.id < $1) ORDER BY r.id DESC LIMIT $2::bigint`

// Rules lists all rules, also disabled ones.
func (p *Packs) Rules(ctx context.Context, page attune.Page) ([]attune.Rule, error) {
	return list(ctx, p.db, "list rules", page, scanRule, listRulesSQL)
}

func scanRule(row pgx.CollectableRow) (attune.Rule, error) {
	var r attune.Rule
	err := row.Scan(&r.ID, &r.Ref, &r.Description, &r.Enabled, &r.Trigger, &r.Action, &r.Criteria, &r.Parameters)
	return r, err
}

// one runs a query that returns one row.
func one[T any](ctx context.Context, q querier, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		var none T
		return none, err
	}
	return pgx.CollectExactlyOneRow(rows, scan)
}
