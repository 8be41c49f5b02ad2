package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/attune-go/attune"
)

// Probe returns what an enforcement with these charges would meet at each rate and quota that is in force, in the order of the charges.
//
// It judges in a transaction like an admission, and rolls the transaction back. So its judgement is that of an admission, and it charges
// nothing. Admissions that use the same rates wait for these few statements.
func (g *Gates) Probe(ctx context.Context, charges []attune.Charge) ([]attune.GateProbe, error) {
	if len(charges) == 0 {
		return nil, nil
	}
	tx, err := g.db.pool.Begin(ctx)
	if err != nil {
		return nil, wrap("probe rates and quotas", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	probes, err := probe(ctx, tx, charges)
	return probes, wrap("probe rates and quotas", err)
}

func probe(ctx context.Context, tx pgx.Tx, charges []attune.Charge) ([]attune.GateProbe, error) {
	j, set := &judgement{}, &chargeSet{charges: charges}
	if err := j.lockLimiters(ctx, tx, charges); err != nil {
		return nil, err
	}
	if err := j.lockUsages(ctx, tx, charges); err != nil {
		return nil, err
	}
	j.prepare(set)
	for i, charge := range set.judged {
		j.refuse(nil, charge, *set.tallies[i].Tally)
	}
	if err := j.findRetries(ctx, tx); err != nil {
		return nil, err
	}
	probes := make([]attune.GateProbe, len(j.refused))
	for i, r := range j.refused {
		probes[i] = attune.GateProbe{GateRefusal: r.show(), Allowed: set.tallies[i].Tally.Allows(r.charge.Cost)}
		if probes[i].Allowed {
			probes[i].RetryAt = nil
		}
	}
	return probes, nil
}
