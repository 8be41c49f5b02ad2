package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// usageID names the count of a quota in the current period.
type usageID struct {
	scope, ref, name string
	key              attune.LaneName
}

func usageOf(c attune.Charge) usageID { return usageID{c.Scope, c.Ref, c.Name, c.Key} }

// usage is the count of a quota whose row is locked.
type usage struct {
	policy.Tally
	id     int64
	gate   policy.Gate
	period policy.Period
}

// insertUsagesSQL inserts the missing counts, in one order like insertLimitersSQL.
const insertUsagesSQL = `
INSERT INTO quota_usage (scope, ref, name, key, period, timezone, starts_at, ends_at)
SELECT u.scope, u.ref, u.name, u.key, u.period, u.timezone, u.starts_at, u.ends_at FROM ` + usageRows + `
WHERE NOT EXISTS (SELECT FROM quota_usage q WHERE ` + sameUsage + `)
ORDER BY u.scope COLLATE "C", u.ref COLLATE "C", u.name COLLATE "C", u.key COLLATE "C"
ON CONFLICT DO NOTHING`

const usageRows = `
	unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
	AS u (scope, ref, name, key, period, timezone, starts_at, ends_at)`

const sameUsage = `q.scope = u.scope AND q.ref = u.ref AND q.name = u.name AND q.key = u.key AND q.period = u.period
	AND q.timezone = u.timezone AND q.starts_at = u.starts_at`

// lockUsagesSQL locks in the order of ids.
const lockUsagesSQL = `
SELECT q.id, q.scope, q.ref, q.name, q.key, q.used FROM quota_usage q JOIN ` + usageRows + `
	ON ` + sameUsage + `
ORDER BY q.id FOR NO KEY UPDATE OF q`

// lockUsages inserts and locks the counts of the quotas in force among charges, and counts the units in the windows of the rates.
func (j *judgement) lockUsages(ctx context.Context, tx pgx.Tx, charges []attune.Charge) error {
	pending := make(map[usageID]usage)
	var columns usageColumns
	for _, c := range charges {
		gate, inForce := j.gates.Find(c.GateID)
		if c.Kind != attune.GateQuota || !inForce {
			continue
		}
		zone, err := policy.Zone(gate.Quota.Timezone)
		if err != nil {
			return err
		}
		period, err := policy.PeriodAt(gate.Quota.Period, zone, j.now)
		if err != nil {
			return err
		}
		pending[usageOf(c)] = usage{gate: gate, period: period, Tally: policy.Tally{Limit: int64(gate.Quota.Limit)}}
		columns.add(c, gate.Quota, period)
	}
	batch := new(pgx.Batch)
	if len(pending) > 0 {
		batch.Queue(insertUsagesSQL, columns.args()...)
		batch.Queue(lockUsagesSQL, columns.args()...).Query(func(rows pgx.Rows) error { return j.readUsages(rows, pending) })
	}
	j.addUsedUnits(batch)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if len(j.usages.all) < len(pending) { // deleted by Sweep between the two statements
		return attune.Errorf(attune.CodeUnavailable, "the count of a quota was deleted while it was used: try again")
	}
	return nil
}

// usageColumns are counts of quotas, as columns.
type usageColumns struct {
	limiterColumns
	periods      []attune.QuotaPeriod
	timezones    []string
	starts, ends []time.Time
}

func (c *usageColumns) add(charge attune.Charge, quota *attune.Quota, period policy.Period) {
	c.limiterColumns.add(charge)
	c.periods, c.timezones = append(c.periods, quota.Period), append(c.timezones, quota.Timezone)
	c.starts, c.ends = append(c.starts, period.Start), append(c.ends, period.End)
}

func (c *usageColumns) args() []any {
	return []any{c.scopes, c.refs, c.names, c.keys, c.periods, c.timezones, c.starts, c.ends}
}

// readUsages reads the locked counts.
func (j *judgement) readUsages(rows pgx.Rows, pending map[usageID]usage) error {
	var name usageID
	var id, used int64
	_, err := pgx.ForEachRow(rows, []any{&id, &name.scope, &name.ref, &name.name, &name.key, &used}, func() error {
		u := pending[name]
		u.id, u.Used = id, used
		j.usages.add(name, &u)
		return nil
	})
	return err
}

const chargeUsagesSQL = `
UPDATE quota_usage q SET used = q.used + u.units, most_limit = GREATEST(q.most_limit, u.quota), updated_at = clock_timestamp()
FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS u (id, units, quota) WHERE q.id = u.id`

// addUsages stores the units that the admission charged to quotas.
func (j *judgement) addUsages(batch *pgx.Batch) {
	var ids, units, limits []int64
	for _, u := range j.usages.all {
		if u.Charged > 0 {
			ids, units, limits = append(ids, u.id), append(units, u.Charged), append(limits, u.Limit)
		}
	}
	if len(ids) > 0 {
		batch.Queue(chargeUsagesSQL, ids, units, limits)
	}
}

// lockChargedSQL locks the counts that enforcements are charged to, in the order of ids.
const lockChargedSQL = `
SELECT q.id FROM quota_usage q WHERE q.id IN (
	SELECT (c ->> 'usage')::bigint FROM enforcements e, json_array_elements(e.charged) c WHERE e.id = ANY ($1::bigint[])
) ORDER BY q.id FOR NO KEY UPDATE`

// refundSQL gives the units of enforcements back that have ended and never ran: those without an execution, and those whose execution
// was cancelled before a worker claimed its first attempt. An enforcement without charges gives nothing back, so a repeated call
// changes nothing.
const refundSQL = `
WITH returned AS (
	UPDATE enforcements e SET charged = NULL FROM enforcements p LEFT JOIN executions x ON x.enforcement_id = p.id
	WHERE p.id = ANY ($1::bigint[]) AND e.id = p.id AND e.charged IS NOT NULL AND (
		e.status IN ('rejected', 'cancelled', 'expired') AND x.id IS NULL
		OR e.status = 'executed' AND x.status = 'cancelled' AND x.attempt = 1 AND x.started_at IS NULL)
	RETURNING p.charged
)
UPDATE quota_usage q SET used = q.used - r.cost, updated_at = clock_timestamp()
FROM (
	SELECT c.usage, sum(c.cost)::bigint AS cost FROM returned, json_to_recordset(charged) AS c (usage bigint, cost bigint) GROUP BY c.usage
) r WHERE q.id = r.usage`

// addRefunds gives the units of quotas back that ended enforcements have not used. Their queues are locked, and so their rows do not
// change meanwhile.
func addRefunds(batch *pgx.Batch, ids []attune.EnforcementID) {
	if len(ids) > 0 {
		batch.Queue(lockChargedSQL, ids)
		batch.Queue(refundSQL, ids)
	}
}
