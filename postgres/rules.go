package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/attune-go/attune"
)

const ruleSelect = `
SELECT r.id, r.ref, r.description, r.enabled, t.ref, a.ref, r.criteria, r.parameters
FROM rules r JOIN triggers t ON t.id = r.trigger_id JOIN actions a ON a.id = r.action_id`

const ruleSQL = ruleSelect + ` WHERE r.ref = $1`

// Rule returns an enabled or disabled rule, or [attune.CodeNotFound].
func (p *Packs) Rule(ctx context.Context, ref attune.Ref) (attune.Rule, error) {
	rule, err := one(ctx, p.db.pool, scanRule, ruleSQL, ref)
	return rule, wrap("read rule", orNotFound(err, "rule %q does not exist", ref))
}

const listRulesSQL = ruleSelect + `
WHERE ($1::bigint = 0 OR r.id < $1) ORDER BY r.id DESC LIMIT $2::bigint`

// Rules returns a page of all rules, enabled and disabled.
func (p *Packs) Rules(ctx context.Context, page attune.Page) ([]attune.Rule, error) {
	return list(ctx, p.db, "list rules", page, scanRule, listRulesSQL)
}

func scanRule(row pgx.CollectableRow) (attune.Rule, error) {
	var r attune.Rule
	err := row.Scan(&r.ID, &r.Ref, &r.Description, &r.Enabled, &r.Trigger, &r.Action, &r.Criteria, &r.Parameters)
	return r, err
}

const lockRuleSQL = `SELECT id, enabled, declared FROM rules WHERE ref = $1 FOR NO KEY UPDATE`

const switchRuleSQL = `UPDATE rules SET enabled = $2 WHERE id = $1`

const insertRuleChangeSQL = `
INSERT INTO rule_changes (rule_id, at, principal, auth_method, on_behalf_of, note, "from", "to")
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7)`

// SetRuleEnabled switches a rule on or off until its pack changes, and records the change: see [Packs.RuleChanges]. Without a
// difference nothing is recorded. A rule that its pack no longer declares cannot be enabled: [attune.CodeConflict]. An unknown
// rule is [attune.CodeNotFound], and an invalid author [attune.CodeInvalid].
func (p *Packs) SetRuleEnabled(ctx context.Context, ref attune.Ref, enabled bool, author attune.Author) error {
	if err := author.Validate(); err != nil {
		return err
	}
	return p.db.inTx(ctx, "switch rule", func(tx pgx.Tx) error {
		var id attune.RuleID
		var wasEnabled, declared bool
		if err := tx.QueryRow(ctx, lockRuleSQL, ref).Scan(&id, &wasEnabled, &declared); err != nil {
			return orNotFound(err, "rule %q does not exist", ref)
		}
		if enabled && !declared {
			return attune.Errorf(attune.CodeConflict, "rule %q cannot be enabled: pack %q no longer declares it", ref, ref.Pack())
		}
		if enabled == wasEnabled {
			return nil
		}
		batch := new(pgx.Batch)
		batch.Queue(switchRuleSQL, id, enabled)
		batch.Queue(insertRuleChangeSQL, id, author.Principal.Name, author.Principal.Method, author.OnBehalfOf, author.Note,
			switchOf(wasEnabled), switchOf(enabled))
		return tx.SendBatch(ctx, batch).Close()
	})
}

func switchOf(enabled bool) attune.RuleSwitch {
	if enabled {
		return attune.RuleEnabled
	}
	return attune.RuleDisabled
}

// ruleChangeColumns are the columns of a change c, for ruleChangeFields.
const ruleChangeColumns = `c.id, c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c."from", c."to"`

func ruleChangeFields(c *attune.RuleChange) []any {
	return []any{&c.ID, &c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.From, &c.To}
}

const ruleChangesSQL = `
SELECT ` + ruleChangeColumns + `
FROM rule_changes c JOIN rules r ON r.id = c.rule_id
WHERE r.ref = $3 AND ($1::bigint = 0 OR c.id < $1) ORDER BY c.id DESC LIMIT $2::bigint`

// RuleChanges returns a page of the manual changes of a rule, newest first. An unknown rule has none.
func (p *Packs) RuleChanges(ctx context.Context, ref attune.Ref, page attune.Page) ([]attune.RuleChange, error) {
	return list(ctx, p.db, "list changes of rule", page, scanRuleChange, ruleChangesSQL, ref)
}

func scanRuleChange(row pgx.CollectableRow) (attune.RuleChange, error) {
	var c attune.RuleChange
	err := row.Scan(ruleChangeFields(&c)...)
	return c, err
}

// A new version of the pack sets every rule as the pack declares it: a change before the installation has no effect.
const disabledRulesSQL = `
SELECT r.ref, ` + ruleChangeColumns + `
FROM rules r JOIN packs p ON p.name = r.pack
	JOIN LATERAL (SELECT * FROM rule_changes WHERE rule_id = r.id ORDER BY id DESC LIMIT 1) c ON true
WHERE r.declared AND NOT r.enabled AND c.at > p.installed_at ORDER BY r.ref`

// DisabledRules returns the declared rules that a person has disabled since the installation of their pack.
func (p *Packs) DisabledRules(ctx context.Context) ([]attune.DisabledRule, error) {
	disabled, err := collect(ctx, p.db.pool, func(row pgx.CollectableRow) (attune.DisabledRule, error) {
		var d attune.DisabledRule
		err := row.Scan(append([]any{&d.Rule}, ruleChangeFields(&d.Change)...)...)
		return d, err
	}, disabledRulesSQL)
	return disabled, wrap("find disabled rules", err)
}

const upsertRuleSQL = `
INSERT INTO rules (ref, pack, description, enabled, trigger_id, action_id, criteria, parameters)
SELECT $1, $2, $3, $4::boolean, t.id, a.id, $7, $8::json
FROM triggers t, actions a WHERE t.ref = $5 AND t.declared AND a.ref = $6 AND a.enabled
ON CONFLICT (ref) DO UPDATE SET
	description = EXCLUDED.description, enabled = EXCLUDED.enabled, declared = true, trigger_id = EXCLUDED.trigger_id,
	action_id = EXCLUDED.action_id, criteria = EXCLUDED.criteria, parameters = EXCLUDED.parameters`

func addRules(batch *pgx.Batch, pack attune.Pack) {
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

const candidatesSQL = `
SELECT r.id, r.ref, r.description, r.criteria, r.parameters,
	` + actionColumns + `, ` + placingDocuments + `
FROM rules r JOIN actions a ON a.id = r.action_id
WHERE r.trigger_id = $1 AND r.enabled ORDER BY r.ref`

// readCandidates returns the enabled rules of a trigger with their actions, and the queues, keys and gates of their policies, in the order of the
// rules' references. Rules with a disabled action are included, so that the rejection of their enforcement is recorded.
func readCandidates(ctx context.Context, tx pgx.Tx, id attune.TriggerID, trigger attune.Ref) ([]attune.Candidate, error) {
	if trigger == attune.ManualTrigger {
		return nil, nil
	}
	return collect(ctx, tx, func(row pgx.CollectableRow) (attune.Candidate, error) {
		var documents levels
		c := attune.Candidate{Rule: attune.Rule{Enabled: true, Trigger: trigger}}
		err := scanAction(row, &c.Action,
			[]any{&c.Rule.ID, &c.Rule.Ref, &c.Rule.Description, &c.Rule.Criteria, &c.Rule.Parameters}, []any{&documents})
		documents.place(&c.Action)
		c.Rule.Action = c.Action.Ref
		c.Key, c.Gates, c.Action.Key, c.Action.Gates = c.Action.Key, c.Action.Gates, nil, nil
		return c, err
	}, candidatesSQL, id)
}
