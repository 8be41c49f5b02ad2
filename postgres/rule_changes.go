package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

const lockRuleSQL = `SELECT id, enabled, declared FROM rules WHERE ref = $1 FOR NO KEY UPDATE`

const switchRuleSQL = `UPDATE rules SET enabled = $2 WHERE id = $1`

const insertRuleChangeSQL = `
INSERT INTO rule_changes (rule_id, at, principal, auth_method, on_behalf_of, note, "from", "to")
VALUES ($1, clock_timestamp(), $2, $3, $4, $5, $6, $7)`

// SetRuleEnabled switches a rule on or off until its pack changes, and records the change: see [Packs.RuleChanges]. A rule
// that is so already stays so, and nothing is recorded. A rule that its pack no longer declares cannot be switched on:
// [attune.CodeConflict]. An unknown one is [attune.CodeNotFound], and an author that is not valid [attune.CodeInvalid].
func (p *Packs) SetRuleEnabled(ctx context.Context, ref attune.Ref, enabled bool, author attune.Author) error {
	if err := author.Validate(); err != nil {
		return err
	}
	return p.db.inTx(ctx, "switch rule", func(tx pgx.Tx) error {
		var id attune.RuleID
		var was, declared bool
		if err := tx.QueryRow(ctx, lockRuleSQL, ref).Scan(&id, &was, &declared); err != nil {
			return found(err, "rule %q does not exist", ref)
		}
		if enabled && !declared {
			return attune.Errorf(attune.CodeConflict, "rule %q cannot be enabled: pack %q no longer declares it", ref, ref.Pack())
		}
		if enabled == was {
			return nil
		}
		batch := new(pgx.Batch)
		batch.Queue(switchRuleSQL, id, enabled)
		batch.Queue(insertRuleChangeSQL, id, author.Principal.Name, author.Principal.Method, author.OnBehalfOf, author.Note,
			switchOf(was), switchOf(enabled))
		return tx.SendBatch(ctx, batch).Close()
	})
}

func switchOf(enabled bool) attune.RuleSwitch {
	if enabled {
		return attune.RuleEnabled
	}
	return attune.RuleDisabled
}

const ruleChangesSQL = `
SELECT c.id, c.at, c.principal, c.auth_method, c.on_behalf_of, c.note, c."from", c."to"
FROM rule_changes c JOIN rules r ON r.id = c.rule_id
WHERE r.ref = $3 AND ($1::bigint = 0 OR c.id < $1) ORDER BY c.id DESC LIMIT $2::bigint`

// RuleChanges returns a page of what people did to a rule by hand, newest first. A rule that does not exist has none.
func (p *Packs) RuleChanges(ctx context.Context, ref attune.Ref, page attune.Page) ([]attune.RuleChange, error) {
	return list(ctx, p.db, "list changes of rule", page, scanRuleChange, ruleChangesSQL, ref)
}

func scanRuleChange(row pgx.CollectableRow) (attune.RuleChange, error) {
	var c attune.RuleChange
	err := row.Scan(&c.ID, &c.At, &c.Principal.Name, &c.Principal.Method, &c.OnBehalfOf, &c.Note, &c.From, &c.To)
	return c, err
}
