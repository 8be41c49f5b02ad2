package queueaudit

import (
	"context"
	"strconv"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/client"
	"github.com/attune-go/attune/proof"
)

// Gates collects what the enforcements of all queues have used of quotas, and reads the rows of rates and quotas. [Begin] makes one.
type Gates struct {
	client  *client.Client
	before  []attune.QuotaUsage
	charged map[int64]int64
}

// Begin reads the counts of quotas before the enforcements are read.
func Begin(ctx context.Context, c *client.Client) (*Gates, error) {
	usage, err := client.List[attune.QuotaUsage](ctx, c, "/quotas", nil)
	return &Gates{client: c, before: usage, charged: make(map[int64]int64)}, err
}

// Add counts what the enforcements of a queue have used.
func (g *Gates) Add(rows proof.Rows) {
	for _, e := range rows.Enforcements {
		for _, charge := range e.Charges {
			g.charged[charge.Usage] += charge.Cost
		}
	}
}

// End reads the rows of rates and quotas after the enforcements of all queues were added. Only counts that have not changed since Begin
// are compared with the enforcements; with complete false, none is.
func (g *Gates) End(ctx context.Context, complete bool) (proof.GateRows, error) {
	rows := proof.GateRows{Charged: g.charged, Steady: make(map[int64]bool)}
	var err error
	if rows.Usage, err = client.List[attune.QuotaUsage](ctx, g.client, "/quotas", nil); err != nil {
		return rows, err
	}
	earlier := make(map[int64]attune.QuotaUsage, len(g.before))
	for _, u := range g.before {
		earlier[u.ID] = u
	}
	for _, u := range rows.Usage {
		before, known := earlier[u.ID]
		rows.Steady[u.ID] = complete && known && before.UpdatedAt.Equal(u.UpdatedAt)
	}
	limiters, err := client.List[attune.Limiter](ctx, g.client, "/limiters", nil)
	if err != nil {
		return rows, err
	}
	for _, l := range limiters {
		log, err := client.List[attune.LimiterCharge](ctx, g.client, "/limiters/"+strconv.FormatInt(l.ID, 10)+"/log", nil)
		if err != nil {
			return rows, err
		}
		if n := len(log); n > 0 {
			l.LastUnit = max(l.LastUnit, log[0].Last) // the log was read later
		}
		rows.Limiters = append(rows.Limiters, proof.LimiterRows{Limiter: l, Log: log})
	}
	return rows, nil
}
