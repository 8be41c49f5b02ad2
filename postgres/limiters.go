package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// limiterID names a limiter.
type limiterID struct {
	scope, ref, name string
	key              attune.LaneName
}

func limiterOf(c attune.Charge) limiterID { return limiterID{c.Scope, c.Ref, c.Name, c.Key} }

// limiter is a limiter whose row is locked, with the gate in force.
type limiter struct {
	policy.Tally
	id     int64
	gate   policy.Gate
	last   int64     // unit, before the admission
	lastAt time.Time // of that unit
	at     time.Time // of the admission: never before lastAt
}

func (l *limiter) window() time.Duration { return time.Duration(l.gate.Rate.Window) }

// insertLimitersSQL inserts the missing limiters. It neither locks nor writes existing rows, and inserts in one order, so that
// transactions that insert the same limiters cannot deadlock.
const insertLimitersSQL = `
INSERT INTO limiters (scope, ref, name, key)
SELECT u.scope, u.ref, u.name, u.key FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (scope, ref, name, key)
WHERE NOT EXISTS (SELECT FROM limiters l WHERE l.scope = u.scope AND l.ref = u.ref AND l.name = u.name AND l.key = u.key)
ORDER BY u.scope COLLATE "C", u.ref COLLATE "C", u.name COLLATE "C", u.key COLLATE "C"
ON CONFLICT DO NOTHING`

// lockLimitersSQL locks in the order of ids. It sees the units of all transactions that had the locks before.
const lockLimitersSQL = `
SELECT l.id, l.scope, l.ref, l.name, l.key, l.last_n, l.last_at
FROM limiters l JOIN unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS u (scope, ref, name, key)
	ON l.scope = u.scope AND l.ref = u.ref AND l.name = u.name AND l.key = u.key
ORDER BY l.id FOR NO KEY UPDATE OF l`

const clockSQL = `SELECT clock_timestamp()`

// lockLimiters reads the gates in force, and inserts and locks the limiters of charges. After that it reads the clock.
func (j *judgement) lockLimiters(ctx context.Context, tx pgx.Tx, charges []attune.Charge) error {
	var names limiterColumns
	for _, c := range charges {
		if c.Kind == attune.GateRate {
			names.add(c)
		}
	}
	batch := new(pgx.Batch)
	j.addGateDocuments(batch, charges)
	if len(names.scopes) > 0 {
		batch.Queue(insertLimitersSQL, names.scopes, names.refs, names.names, names.keys)
		batch.Queue(lockLimitersSQL, names.scopes, names.refs, names.names, names.keys).Query(j.readLimiters)
	}
	batch.Queue(clockSQL).QueryRow(func(row pgx.Row) error { return row.Scan(&j.now) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	if len(j.limiters.all) < len(names.scopes) { // deleted by Sweep between the two statements
		return attune.Errorf(attune.CodeUnavailable, "an idle rate was deleted while it was used: try again")
	}
	for _, l := range j.limiters.all {
		l.at = attune.Later(j.now, l.lastAt)
	}
	return nil
}

// limiterColumns are the names of limiters, as columns.
type limiterColumns struct {
	scopes, refs, names []string
	keys                []attune.LaneName
}

func (c *limiterColumns) add(charge attune.Charge) {
	c.scopes, c.refs = append(c.scopes, charge.Scope), append(c.refs, charge.Ref)
	c.names, c.keys = append(c.names, charge.Name), append(c.keys, charge.Key)
}

// readLimiters keeps the limiters whose gates are in force. The others judge nothing.
func (j *judgement) readLimiters(rows pgx.Rows) error {
	var name limiterID
	l := new(limiter)
	_, err := pgx.ForEachRow(rows, []any{&l.id, &name.scope, &name.ref, &name.name, &name.key, &l.last, &l.lastAt}, func() error {
		read := *l
		id := attune.GateID{Kind: attune.GateRate, Scope: name.scope, Ref: name.ref, Name: name.name}
		gate, inForce := j.gates.Find(id)
		if read.gate = gate; inForce {
			read.Limit = int64(gate.Rate.Limit)
		}
		j.limiters.add(name, &read)
		return nil
	})
	return err
}

// usedUnitsSQL returns the number of units before the window of each limiter; NULL without units in the window.
const usedUnitsSQL = `
SELECT (SELECT g.n - g.units FROM limiter_log g WHERE g.limiter_id = u.id AND g.at > u.since ORDER BY g.at, g.n LIMIT 1)
FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS u (id, since, position) ORDER BY u.position`

// addUsedUnits counts the units in the windows of the locked limiters.
func (j *judgement) addUsedUnits(batch *pgx.Batch) {
	var counted []*limiter
	var ids []int64
	var since []time.Time
	for _, l := range j.limiters.all {
		if l.gate.Rate != nil {
			counted, ids, since = append(counted, l), append(ids, l.id), append(since, l.at.Add(-l.window()))
		}
	}
	if len(counted) == 0 {
		return
	}
	batch.Queue(usedUnitsSQL, ids, since).Query(func(rows pgx.Rows) error {
		before, err := pgx.CollectRows(rows, pgx.RowTo[*int64])
		for i, units := range before {
			if units != nil {
				counted[i].Used = counted[i].last - *units
			}
		}
		return err
	})
}

// chargeLimitersSQL adds the units of an admission.
const chargeLimitersSQL = `
WITH charged AS (
	UPDATE limiters l SET last_n = l.last_n + u.units, last_at = u.at
	FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::bigint[], $5::bigint[]) AS u (id, units, at, rate_limit, window_ms)
	WHERE l.id = u.id
	RETURNING l.id, l.last_n, u.units, u.at, u.rate_limit, u.window_ms
)
INSERT INTO limiter_log (limiter_id, n, units, at, rate_limit, window_ms)
SELECT id, last_n, units, at, rate_limit, window_ms FROM charged`

// forgetUnitsSQL deletes units that no window can contain: up to four rows for each row that is added.
const forgetUnitsSQL = `
DELETE FROM limiter_log g USING unnest($1::bigint[], $2::timestamptz[]) AS u (id, at), LATERAL (
	(SELECT o.n FROM limiter_log o WHERE o.limiter_id = u.id AND o.at <= u.at - $3::bigint * interval '1 millisecond'
		ORDER BY o.at, o.n LIMIT 2)
	UNION
	(SELECT o.n FROM limiter_log o, limiters l WHERE l.id = u.id AND o.limiter_id = u.id AND o.n <= l.last_n - $4::bigint
		ORDER BY o.n LIMIT 2)
) AS old (n)
WHERE g.limiter_id = u.id AND g.n = old.n`

// addLimiters stores the units that the admission charged to rates.
func (j *judgement) addLimiters(batch *pgx.Batch) {
	var ids, units, limits, windows []int64
	var times []time.Time
	for _, l := range j.limiters.all {
		if l.Charged > 0 {
			ids, units, times = append(ids, l.id), append(units, l.Charged), append(times, l.at)
			limits, windows = append(limits, l.Limit), append(windows, milliseconds(l.gate.Rate.Window))
		}
	}
	if len(ids) > 0 {
		batch.Queue(chargeLimitersSQL, ids, units, times, limits, windows)
		batch.Queue(forgetUnitsSQL, ids, times, attune.MaxRateWindow.Milliseconds(), attune.MaxRateLimit)
	}
}

// unitOf is a unit of a limiter.
type unitOf struct{ limiter, unit int64 }

// unitTimesSQL returns when units were charged; NULL for a unit that is no longer in the log.
const unitTimesSQL = `
SELECT CASE WHEN g.n - g.units < u.unit THEN g.at END
FROM unnest($1::bigint[], $2::bigint[]) WITH ORDINALITY AS u (id, unit, position)
	LEFT JOIN LATERAL (
		SELECT o.n, o.units, o.at FROM limiter_log o WHERE o.limiter_id = u.id AND o.n >= u.unit ORDER BY o.n LIMIT 1
	) g ON true
ORDER BY u.position`

// findRetries completes the refusals: a rate allows a cost when enough units have left its window.
func (j *judgement) findRetries(ctx context.Context, tx pgx.Tx) error {
	position := make(map[unitOf]int)
	var limiters, units []int64
	for _, r := range j.refused {
		if _, known := position[r.waitFor]; r.waitFor.limiter > 0 && !known {
			position[r.waitFor] = len(units)
			limiters, units = append(limiters, r.waitFor.limiter), append(units, r.waitFor.unit)
		}
	}
	if len(units) == 0 {
		return nil
	}
	times, err := collect(ctx, tx, pgx.RowTo[*time.Time], unitTimesSQL, limiters, units)
	if err != nil {
		return err
	}
	for _, r := range j.refused {
		if r.waitFor.limiter > 0 {
			r.retryAt = attune.Later(j.now, orZeroTime(times[position[r.waitFor]]).Add(time.Duration(r.gate.Rate.Window)))
		}
	}
	return nil
}
