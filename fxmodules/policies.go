package fxmodules

import (
	"context"
	"log/slog"

	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/workflows"
)

// applyPolicies tells running queues about policies that the packs have changed. A queue that cannot be told now learns it
// from the next enforcement it accepts.
func applyPolicies(loops *loops, _ installed, rows *postgres.Queues, queues *workflows.Queues, log *slog.Logger) {
	loops.add("policies", func(ctx context.Context) error {
		changed, err := rows.ApplyPolicies(ctx)
		if err != nil {
			log.WarnContext(ctx, "policies were not applied to running queues", "error", err)
		}
		for _, admission := range changed {
			if err := queues.SetPolicy(ctx, admission.Queue, admission.Policy); err != nil {
				log.WarnContext(ctx, "a running queue was not told its policy", "queue", admission.Queue, "error", err)
			}
		}
		<-ctx.Done()
		return nil
	})
}
