package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/attune-go/attune"
)

// Packs keeps what packs declare: triggers, actions, rules and policies.
type Packs struct{ db *DB }

// NewPacks returns the packs of a database.
func NewPacks(db *DB) *Packs { return &Packs{db: db} }

// InstallResult says what installing one pack did.
type InstallResult struct {
	Name     string
	Version  string
	Changed  bool // false: the pack with this digest was installed already; the counts are 0
	Triggers int  // declared
	Actions  int  // declared
	Rules    int  // declared
	Disabled int  // triggers, actions and rules that were declared before and no longer are
}

// installLock is the advisory lock that serializes installations, so that two processes that start together do not
// install in different orders.
const installLock int64 = 0x61747475_6e650001

// Install stores packs in one transaction, so that their rules may refer to each other's triggers and actions.
//
// A pack whose digest is the installed one is left alone. Of every other pack, what it declares is stored, each rule
// enabled or disabled as its pack says, and what it no longer declares is disabled. Packs that are not given stay as
// they are. A rule whose trigger or action nobody declares is [attune.CodeInvalid]; a webhook key that belongs to a
// trigger of another installed pack is [attune.CodeConflict].
func (p *Packs) Install(ctx context.Context, packs []attune.Pack) ([]InstallResult, error) {
	results := make([]InstallResult, len(packs))
	err := p.db.inTx(ctx, "install packs", func(tx pgx.Tx) error {
		digests, err := lockDigests(ctx, tx)
		if err != nil {
			return err
		}
		rules := new(pgx.Batch)
		for i, pack := range packs {
			digest, installed := digests[pack.Name]
			results[i] = InstallResult{Name: pack.Name, Version: pack.Version, Changed: !installed || digest != pack.Digest}
			if !results[i].Changed {
				continue
			}
			if err := installPack(ctx, tx, pack, &results[i]); err != nil {
				return err
			}
			queueRules(rules, pack)
		}
		return tx.SendBatch(ctx, rules).Close()
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

const lockInstallSQL = `SELECT pg_advisory_xact_lock($1)`

const digestsSQL = `SELECT name, digest FROM packs`

// lockDigests waits until no other installation runs and returns the digests of the installed packs.
func lockDigests(ctx context.Context, tx pgx.Tx) (map[string]string, error) {
	if _, err := tx.Exec(ctx, lockInstallSQL, installLock); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, digestsSQL)
	if err != nil {
		return nil, err
	}
	digests := make(map[string]string)
	var name, digest string
	_, err = pgx.ForEachRow(rows, []any{&name, &digest}, func() error {
		digests[name] = digest
		return nil
	})
	return digests, err
}

const upsertPackSQL = `
INSERT INTO packs (name, version, description, digest) VALUES ($1, $2, $3, $4)
ON CONFLICT (name) DO UPDATE SET
	version = EXCLUDED.version, description = EXCLUDED.description, digest = EXCLUDED.digest,
	installed_at = clock_timestamp()`

const retireTriggersSQL = `
UPDATE triggers SET declared = false, webhook_key = NULL WHERE pack = $1 AND declared AND ref <> ALL ($2::text[])`

const retireActionsSQL = `
UPDATE actions SET enabled = false WHERE pack = $1 AND enabled AND ref <> ALL ($2::text[])`

const retireRulesSQL = `
UPDATE rules SET declared = false, enabled = false WHERE pack = $1 AND declared AND ref <> ALL ($2::text[])`

// installPack stores everything of a pack but its rules, which may need what packs after it declare.
func installPack(ctx context.Context, tx pgx.Tx, pack attune.Pack, result *InstallResult) error {
	countDisabled := func(tag pgconn.CommandTag) error {
		result.Disabled += int(tag.RowsAffected())
		return nil
	}
	batch := new(pgx.Batch)
	batch.Queue(upsertPackSQL, pack.Name, pack.Version, pack.Description, pack.Digest)
	batch.Queue(retireTriggersSQL, pack.Name, refs(pack.Triggers, func(t attune.Trigger) attune.Ref { return t.Ref })).Exec(countDisabled)
	batch.Queue(retireActionsSQL, pack.Name, refs(pack.Actions, func(a attune.Action) attune.Ref { return a.Ref })).Exec(countDisabled)
	batch.Queue(retireRulesSQL, pack.Name, refs(pack.Rules, func(r attune.Rule) attune.Ref { return r.Ref })).Exec(countDisabled)
	queueTriggers(batch, pack)
	queueActions(batch, pack)
	addPolicies(batch, pack)
	result.Triggers, result.Actions, result.Rules = len(pack.Triggers), len(pack.Actions), len(pack.Rules)
	return tx.SendBatch(ctx, batch).Close()
}

// refs returns the references of what a pack declares, as text that PostgreSQL can compare.
func refs[T any](declared []T, ref func(T) attune.Ref) []string {
	names := make([]string, len(declared))
	for i, d := range declared {
		names[i] = string(ref(d))
	}
	return names
}

const upsertTriggerSQL = `
INSERT INTO triggers (ref, pack, description, schema, webhook_key, webhook_secret_env, webhook_dedup_header)
VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, $7)
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, schema = EXCLUDED.schema, webhook_key = EXCLUDED.webhook_key,
	webhook_secret_env = EXCLUDED.webhook_secret_env, webhook_dedup_header = EXCLUDED.webhook_dedup_header,
	declared = true`

func queueTriggers(batch *pgx.Batch, pack attune.Pack) {
	for _, t := range pack.Triggers {
		var webhook attune.Webhook
		if t.Webhook != nil {
			webhook = *t.Webhook
		}
		batch.Queue(upsertTriggerSQL, t.Ref, pack.Name, t.Description, orNull(t.Schema),
			webhook.Key, webhook.SecretEnv, webhook.DedupHeader)
	}
}

const upsertActionSQL = `
INSERT INTO actions (ref, pack, description, command, env, schema, timeout_ms, pool)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, command = EXCLUDED.command, env = EXCLUDED.env, schema = EXCLUDED.schema,
	timeout_ms = EXCLUDED.timeout_ms, pool = EXCLUDED.pool, enabled = true`

func queueActions(batch *pgx.Batch, pack attune.Pack) {
	for _, a := range pack.Actions {
		batch.Queue(upsertActionSQL, a.Ref, pack.Name, a.Description, orEmpty(a.Command), orEmpty(a.Env),
			orNull(a.Schema), milliseconds(a.Timeout), a.Pool)
	}
}

const upsertRuleSQL = `
INSERT INTO rules (ref, pack, description, enabled, trigger_id, action_id, criteria, parameters)
SELECT $1, $2, $3, $4::boolean, t.id, a.id, $7, $8::json
FROM triggers t, actions a WHERE t.ref = $5 AND t.declared AND a.ref = $6 AND a.enabled
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, enabled = EXCLUDED.enabled, declared = true, trigger_id = EXCLUDED.trigger_id,
	action_id = EXCLUDED.action_id, criteria = EXCLUDED.criteria, parameters = EXCLUDED.parameters`

func queueRules(batch *pgx.Batch, pack attune.Pack) {
	for _, r := range pack.Rules {
		batch.Queue(upsertRuleSQL, r.Ref, pack.Name, r.Description, r.Enabled, r.Trigger, r.Action, r.Criteria,
			orNull(r.Parameters)).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				return attune.Errorf(attune.CodeInvalid, "rule %q of pack %q: no installed pack declares its trigger %q or its action %q",
					r.Ref, pack.Name, r.Trigger, r.Action)
			}
			return nil
		})
	}
}
