package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/attune-go/attune"
)

// Packs stores the declarations of packs: triggers, actions, rules and policies.
type Packs struct{ db *DB }

// NewPacks returns the packs of a database.
func NewPacks(db *DB) *Packs { return &Packs{db: db} }

// InstallResult is the result of installing one pack.
type InstallResult struct {
	Name     string
	Version  string
	Changed  bool // false if the installed pack has the same digest; then the counts are 0
	Triggers int  // declared
	Actions  int  // declared
	Rules    int  // declared
	Queues   int  // declared; shared queues
	Disabled int  // triggers, actions and rules that the pack no longer declares
}

// installLock is the advisory lock that serializes the installation of packs.
const installLock int64 = 0x61747475_6e650001

// Install stores packs in one transaction, so their rules can refer to triggers and actions of other packs in the call.
//
// A pack with the installed digest stays unchanged. For any other pack, Install stores all declarations, with each rule enabled
// or disabled as declared, and disables everything that the pack no longer declares. Installed packs that are not in packs stay
// unchanged. A rule whose trigger or action no pack declares is [attune.CodeInvalid], and so is a policy that joins a shared queue
// which no pack declares, that exceeds the bounds of such a queue, or whose action has a field of the queue, also one that a person
// has set. A webhook key of another trigger, and a queue with the reference of an action, are [attune.CodeConflict].
//
// A shared queue that its pack no longer declares stays, with the policies that people have set: actions that join it go on in it.
func (p *Packs) Install(ctx context.Context, packs []attune.Pack) ([]InstallResult, error) {
	results := make([]InstallResult, len(packs))
	err := p.db.inTx(ctx, "install packs", func(tx pgx.Tx) error {
		digests, err := lockDigests(ctx, tx)
		if err != nil {
			return err
		}
		rules := new(pgx.Batch)
		var changed []attune.Pack
		for i, pack := range packs {
			digest, installed := digests[pack.Name]
			results[i] = InstallResult{Name: pack.Name, Version: pack.Version, Changed: !installed || digest != pack.Digest}
			if !results[i].Changed {
				continue
			}
			if err := installPack(ctx, tx, pack, &results[i]); err != nil {
				return err
			}
			addRules(rules, pack)
			addJoins(rules, pack)
			changed = append(changed, pack)
		}
		if err := tx.SendBatch(ctx, rules).Close(); err != nil {
			return err
		}
		return checkInstalled(ctx, tx, changed)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

const lockInstallSQL = `SELECT pg_advisory_xact_lock($1)`

const digestsSQL = `SELECT name, digest FROM packs`

// lockDigests waits for the installation lock and returns the digests of the installed packs.
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

// installPack stores a pack without its rules, which can refer to packs that follow.
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
	addTriggers(batch, pack)
	addActions(batch, pack)
	addSharedQueues(batch, pack)
	addPolicies(batch, pack)
	result.Triggers, result.Actions, result.Rules = len(pack.Triggers), len(pack.Actions), len(pack.Rules)
	result.Queues = len(pack.Queues)
	return tx.SendBatch(ctx, batch).Close()
}

// refs returns the references of declarations as strings.
func refs[T any](declared []T, ref func(T) attune.Ref) []string {
	names := make([]string, len(declared))
	for i, d := range declared {
		names[i] = string(ref(d))
	}
	return names
}

const triggerSelect = `
SELECT t.id, t.ref, t.description, t.schema, COALESCE(t.webhook_key, ''), t.webhook_secret_env, t.webhook_dedup_header
FROM triggers t WHERE t.declared`

const triggerSQL = triggerSelect + ` AND t.ref = $1`

// Trigger returns a declared trigger, or [attune.CodeNotFound].
func (p *Packs) Trigger(ctx context.Context, ref attune.Ref) (attune.Trigger, error) {
	trigger, err := one(ctx, p.db.pool, scanTrigger, triggerSQL, ref)
	return trigger, wrap("read trigger", orNotFound(err, "trigger %q does not exist", ref))
}

const webhookTriggerSQL = triggerSelect + ` AND t.webhook_key = $1`

// WebhookTrigger returns the trigger with a webhook key, or [attune.CodeNotFound].
func (p *Packs) WebhookTrigger(ctx context.Context, key string) (attune.Trigger, error) {
	trigger, err := one(ctx, p.db.pool, scanTrigger, webhookTriggerSQL, key)
	return trigger, wrap("read webhook trigger", orNotFound(err, "webhook %q does not exist", key))
}

const listTriggersSQL = triggerSelect + `
	AND ($1::bigint = 0 OR t.id < $1) ORDER BY t.id DESC LIMIT $2::bigint`

// Triggers returns a page of the declared triggers.
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

const actionSelect = `
SELECT ` + actionColumns + `, p.document, ` + placingDocuments + `
FROM actions a LEFT JOIN policies p ON p.scope = 'action' AND p.ref = a.ref AND p.origin = 'pack'`

const actionSQL = actionSelect + ` WHERE a.ref = $1`

// Action returns an enabled or disabled action with the queue and the key of its policy in force, or [attune.CodeNotFound].
func (p *Packs) Action(ctx context.Context, ref attune.Ref) (attune.Action, error) {
	action, err := one(ctx, p.db.pool, scanActionWithPolicy, actionSQL, ref)
	return action, wrap("read action", orNotFound(err, "action %q does not exist", ref))
}

const listActionsSQL = actionSelect + `
WHERE ($1::bigint = 0 OR a.id < $1) ORDER BY a.id DESC LIMIT $2::bigint`

// Actions returns a page of all actions, enabled and disabled.
func (p *Packs) Actions(ctx context.Context, page attune.Page) ([]attune.Action, error) {
	return list(ctx, p.db, "list actions", page, scanActionWithPolicy, listActionsSQL)
}

func scanActionWithPolicy(row pgx.CollectableRow) (a attune.Action, err error) {
	var documents levels
	err = scanAction(row, &a, nil, []any{&a.Policy, &documents})
	documents.place(&a)
	return a, err
}

const poolsSQL = `SELECT DISTINCT a.pool FROM actions a WHERE a.enabled ORDER BY a.pool`

// Pools returns the pools of enabled actions.
func (p *Packs) Pools(ctx context.Context) ([]string, error) {
	pools, err := collect(ctx, p.db.pool, pgx.RowTo[string], poolsSQL)
	return pools, wrap("list pools", err)
}

const upsertActionSQL = `
INSERT INTO actions (ref, pack, description, command, env, schema, timeout_ms, pool, memory, processes, digest, secrets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, command = EXCLUDED.command, env = EXCLUDED.env, schema = EXCLUDED.schema,
	timeout_ms = EXCLUDED.timeout_ms, pool = EXCLUDED.pool, memory = EXCLUDED.memory,
	processes = EXCLUDED.processes, digest = EXCLUDED.digest, secrets = EXCLUDED.secrets,
	enabled = true`

func addActions(batch *pgx.Batch, pack attune.Pack) {
	for _, a := range pack.Actions {
		batch.Queue(upsertActionSQL, a.Ref, pack.Name, a.Description, orEmpty(a.Command), orEmpty(a.Env),
			orNull(a.Schema), milliseconds(a.Timeout), a.Pool, a.Limits.Memory, a.Limits.Processes, a.Digest(),
			orEmpty(a.Secrets))
	}
}
