package postgres

import (
	"context"

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

const upsertTriggerSQL = `
INSERT INTO triggers (ref, pack, description, schema, webhook_key, webhook_secret_env, webhook_dedup_header)
VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, $7)
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, schema = EXCLUDED.schema, webhook_key = EXCLUDED.webhook_key,
	webhook_secret_env = EXCLUDED.webhook_secret_env, webhook_dedup_header = EXCLUDED.webhook_dedup_header,
	declared = true`

func addTriggers(batch *pgx.Batch, pack attune.Pack) {
	for _, t := range pack.Triggers {
		var webhook attune.Webhook
		if t.Webhook != nil {
			webhook = *t.Webhook
		}
		batch.Queue(upsertTriggerSQL, t.Ref, pack.Name, t.Description, orNull(t.Schema),
			webhook.Key, webhook.SecretEnv, webhook.DedupHeader)
	}
}
