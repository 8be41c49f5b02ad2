package queueaudit

import (
	"context"
	"net/url"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/proof"
)

// Gates collects what enforcements were charged at rates and quotas, and reads the rows of these. [Begin] makes one.
type Gates struct {
	client   *client.Client
	all      bool
	before   gateCounts
	charged  []proof.Charged
	scopes   []attune.GateFilter // of the documents that can have charged the enforcements, each once
	selected map[attune.GateFilter]bool
}

// gateCounts are the counts of quotas and the logs of rates, without the charges.
type gateCounts struct {
	usage    []attune.QuotaUsage
	limiters []attune.Limiter
}

// Begin begins the check of the rates and quotas of all queues, or only of those that the enforcements of some queues were charged at.
// For all queues, it reads the counts before the enforcements are read.
func Begin(ctx context.Context, c *client.Client, all bool) (*Gates, error) {
	g := &Gates{client: c, all: all, selected: make(map[attune.GateFilter]bool)}
	g.selectScope(policy.ScopeGlobal, "")
	if !all {
		return g, nil
	}
	var err error
	g.before, err = g.read(ctx, nil)
	return g, err
}

// selectScope remembers the documents of a scope.
func (g *Gates) selectScope(scope policy.Scope, ref string) {
	filter := attune.GateFilter{Scope: string(scope), Ref: ref}
	if !g.selected[filter] {
		g.selected[filter] = true
		g.scopes = append(g.scopes, filter)
	}
}

// Add counts what the enforcements of a queue were charged.
func (g *Gates) Add(rows proof.Rows) {
	for _, e := range rows.Enforcements {
		if len(e.Charges)+len(e.Units) == 0 || e.QueuedAt == nil {
			continue
		}
		g.charged = append(g.charged, proof.Charged{Enforcement: e.ID, QueuedAt: *e.QueuedAt, Units: e.Units, Quotas: e.Charges})
		g.selectScope(policy.ScopeQueue, string(rows.Queue))
		g.selectScope(policy.ScopePack, e.Action.Pack())
		g.selectScope(policy.ScopeAction, string(e.Action))
	}
}

// End reads the rows of rates and quotas after the enforcements were added. Only the counts and logs that have not changed since Begin must
// be exactly the charges of the enforcements; with complete false, nothing must.
func (g *Gates) End(ctx context.Context, complete bool) (proof.GateRows, error) {
	filters := g.scopes
	if g.all {
		filters = []attune.GateFilter{{}}
	}
	rows := proof.GateRows{
		Charged: g.charged, SteadyUsage: make(map[int64]bool), SteadyLimiters: make(map[int64]bool), ReadAt: time.Now(),
	}
	logs := make(map[int64][]attune.LimiterCharge)
	var after gateCounts
	for _, filter := range filters {
		found, err := g.read(ctx, queryOf(filter))
		if err != nil {
			return rows, err
		}
		after.usage, after.limiters = append(after.usage, found.usage...), append(after.limiters, found.limiters...)
		charges, err := client.List[attune.LimiterCharge](ctx, g.client, "/limiters/log", queryOf(filter))
		if err != nil {
			return rows, err
		}
		for _, c := range charges {
			logs[c.Limiter] = append(logs[c.Limiter], c)
		}
	}
	rows.Usage = after.usage
	for _, l := range after.limiters {
		log := logs[l.ID]
		if len(log) > 0 {
			l.LastUnit = max(l.LastUnit, log[0].Last) // the log was read later
		}
		rows.Limiters = append(rows.Limiters, proof.LimiterRows{Limiter: l, Log: log})
	}
	if complete && g.all {
		g.markSteady(&rows)
	}
	return rows, nil
}

// markSteady marks the counts and logs that have not changed since Begin.
func (g *Gates) markSteady(rows *proof.GateRows) {
	updated, units := make(map[int64]time.Time), make(map[int64]int64)
	for _, u := range g.before.usage {
		updated[u.ID] = u.UpdatedAt
	}
	for _, l := range g.before.limiters {
		units[l.ID] = l.LastUnit
	}
	for _, u := range rows.Usage {
		before, known := updated[u.ID]
		rows.SteadyUsage[u.ID] = known && before.Equal(u.UpdatedAt)
	}
	for _, l := range rows.Limiters {
		before, known := units[l.ID]
		rows.SteadyLimiters[l.ID] = known && before == l.LastUnit
	}
}

func (g *Gates) read(ctx context.Context, query url.Values) (counts gateCounts, err error) {
	if counts.usage, err = client.List[attune.QuotaUsage](ctx, g.client, "/quotas", query); err != nil {
		return counts, err
	}
	counts.limiters, err = client.List[attune.Limiter](ctx, g.client, "/limiters", query)
	return counts, err
}

// queryOf returns the query of a list that selects the documents of a scope.
func queryOf(filter attune.GateFilter) url.Values {
	query := url.Values{}
	for name, value := range map[string]string{"scope": filter.Scope, "ref": filter.Ref} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return query
}
