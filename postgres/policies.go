package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// policyColumns are the columns in which a policy is stored: NULL where it says nothing.
type policyColumns struct {
	limit     *int
	maxQueued *int
	overflow  *attune.Overflow
	timeoutMS *int64
	attempts  *int
	delayMS   *int64
	placement *attune.RetryPlacement
}

func (c *policyColumns) targets() []any {
	return []any{&c.limit, &c.maxQueued, &c.overflow, &c.timeoutMS, &c.attempts, &c.delayMS, &c.placement}
}

func (c *policyColumns) policy() attune.Policy {
	return attune.Policy{
		Limit: c.limit, MaxQueued: c.maxQueued, Overflow: c.overflow, QueueTimeout: orNoDuration(c.timeoutMS),
		MaxAttempts: c.attempts, RetryDelay: orNoDuration(c.delayMS), RetryPlacement: c.placement,
	}
}

// saidColumns are the columns of the policies p that policyColumns reads.
const saidColumns = `p.concurrency_limit, p.max_queued, p.overflow, p.queue_timeout_ms, p.max_attempts, p.retry_delay_ms,
	p.retry_placement`

const upsertPolicySQL = `
INSERT INTO policies (scope, ref, pack, concurrency_limit, max_queued, overflow, queue_timeout_ms, max_attempts,
	retry_delay_ms, retry_placement)
VALUES ($1, $2, NULLIF($3, ''), $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (scope, ref) DO UPDATE SET
	concurrency_limit = EXCLUDED.concurrency_limit, max_queued = EXCLUDED.max_queued, overflow = EXCLUDED.overflow,
	queue_timeout_ms = EXCLUDED.queue_timeout_ms, max_attempts = EXCLUDED.max_attempts,
	retry_delay_ms = EXCLUDED.retry_delay_ms, retry_placement = EXCLUDED.retry_placement`

// queuePolicy stores what one scope says; pack is the pack that says it, empty for the global scope.
func queuePolicy(batch *pgx.Batch, pack string, level policy.Level) {
	p := level.Policy
	batch.Queue(upsertPolicySQL, level.Scope, level.Ref, pack, p.Limit, p.MaxQueued, p.Overflow,
		orNullMilliseconds(p.QueueTimeout), p.MaxAttempts, orNullMilliseconds(p.RetryDelay), p.RetryPlacement)
}

// SetGlobalPolicy replaces what the global scope says. The zero policy says nothing. Queues take it over when they next
// accept an enforcement, or with [Queues.ApplyPolicies].
func (p *Packs) SetGlobalPolicy(ctx context.Context, global attune.Policy) error {
	if err := global.Validate(); err != nil {
		return err
	}
	batch := new(pgx.Batch)
	queuePolicy(batch, "", policy.Level{Scope: policy.ScopeGlobal, Policy: global})
	return p.db.send(ctx, "set the global policy", batch)
}

const policiesSQL = `
SELECT p.scope, p.ref, ` + saidColumns + ` FROM policies p
WHERE p.scope = 'global' OR (p.scope = 'pack' AND p.ref = ANY ($1::text[]))
	OR (p.scope = 'action' AND p.ref = ANY ($2::text[]))
ORDER BY p.scope, p.ref`

// Policies returns what each scope says about an action, ready for [policy.Resolve]. An unknown action is
// [attune.CodeNotFound].
func (p *Packs) Policies(ctx context.Context, action attune.Ref) ([]policy.Level, error) {
	if _, err := p.Action(ctx, action); err != nil {
		return nil, err
	}
	levels, err := readLevels(ctx, p.db.pool, []attune.Ref{action})
	return levels, wrap("read policies", err)
}

// readLevels returns what every scope says that covers one of the actions.
func readLevels(ctx context.Context, q querier, actions []attune.Ref) (levels, error) {
	packs, names := make([]string, len(actions)), make([]string, len(actions))
	for i, action := range actions {
		packs[i], names[i] = action.Pack(), string(action)
	}
	return collect(ctx, q, scanLevel, policiesSQL, packs, names)
}

func scanLevel(row pgx.CollectableRow) (policy.Level, error) {
	var level policy.Level
	var columns policyColumns
	err := row.Scan(append([]any{&level.Scope, &level.Ref}, columns.targets()...)...)
	level.Policy = columns.policy()
	return level, err
}

// levels are what the scopes say about some actions.
type levels []policy.Level

// resolve returns the policy in force for one action.
func (l levels) resolve(action attune.Ref) attune.QueuePolicy {
	return policy.Resolve(slices.DeleteFunc(slices.Clone(l), func(level policy.Level) bool {
		return level.Scope == policy.ScopePack && level.Ref != action.Pack() ||
			level.Scope == policy.ScopeAction && level.Ref != string(action)
	})...).Policy
}

const waitingQueuesSQL = `
SELECT q.key, EXISTS (SELECT FROM enforcements e WHERE e.queue_key = q.key AND e.status = 'queued') FROM queues q`

// ApplyPolicies resolves the policy of every queue again and returns, without tickets, the queues that should hear about
// theirs: those whose policy has changed, now under its new revision, and all in which somebody waits, so that repeating
// the call after a crash tells them again. Call it after a change of policy: a queue otherwise learns about the change
// when it next accepts an enforcement.
func (q *Queues) ApplyPolicies(ctx context.Context) ([]attune.Admission, error) {
	var concerned []attune.Admission
	err := q.db.inTx(ctx, "apply policies", func(tx pgx.Tx) error {
		waiting, err := readWaiting(ctx, tx)
		if err != nil {
			return err
		}
		lines, err := lockLines(ctx, tx, slices.Collect(maps.Keys(waiting)))
		if err != nil {
			return err
		}
		for _, line := range lines {
			if line.changed || waiting[line.key] {
				concerned = append(concerned, attune.Admission{Queue: line.key, Policy: line.policy})
			}
		}
		batch := new(pgx.Batch)
		queueLines(batch, lines)
		return tx.SendBatch(ctx, batch).Close()
	})
	return concerned, err
}

// readWaiting returns for every queue whether somebody waits in it.
func readWaiting(ctx context.Context, tx pgx.Tx) (map[attune.QueueKey]bool, error) {
	rows, err := tx.Query(ctx, waitingQueuesSQL)
	if err != nil {
		return nil, err
	}
	waiting := make(map[attune.QueueKey]bool)
	var key attune.QueueKey
	var somebody bool
	_, err = pgx.ForEachRow(rows, []any{&key, &somebody}, func() error {
		waiting[key] = somebody
		return nil
	})
	return waiting, err
}
