package bridge

import (
	"context"
	"log/slog"

	"github.com/attune-go/attune"
)

// PolicyRows brings the policies of queues in PostgreSQL up to date with the packs, and returns those that have changed.
type PolicyRows interface {
	ApplyPolicies(ctx context.Context) ([]attune.Admission, error)
}

// PolicySetter puts a policy of a queue in force, durably.
type PolicySetter interface {
	SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error
}

// Policies tells running queues about policies that the packs have changed. A queue that cannot be told now learns its
// policy from the next enforcement that it accepts.
type Policies struct {
	rows   PolicyRows
	queues PolicySetter
	log    *slog.Logger
}

// NewPolicies returns Policies.
func NewPolicies(rows PolicyRows, queues PolicySetter, log *slog.Logger) *Policies {
	return &Policies{rows: rows, queues: queues, log: log}
}

// Run tells the queues once, and returns nil when ctx ends. What fails is logged.
func (p *Policies) Run(ctx context.Context) error {
	changed, err := p.rows.ApplyPolicies(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "policies were not applied to running queues", "error", err)
	}
	for _, admission := range changed {
		if err := p.queues.SetPolicy(ctx, admission.Queue, admission.Policy); err != nil {
			p.log.WarnContext(ctx, "a running queue was not told its policy", "queue", admission.Queue, "error", err)
		}
	}
	<-ctx.Done()
	return nil
}
