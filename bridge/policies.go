package bridge

import (
	"context"
	"log/slog"

	"github.com/attune-go/attune"
)

// PolicyRows applies the packs' policies to the queue rows in PostgreSQL, and returns the changed queues.
type PolicyRows interface {
	ApplyPolicies(ctx context.Context) ([]attune.Admission, error)
}

// PolicySetter sends a policy to a running queue, durably.
type PolicySetter interface {
	SetPolicy(ctx context.Context, key attune.QueueKey, policy attune.QueuePolicy) error
}

// Policies sends changed policies to running queues. A queue that Policies cannot reach learns its policy from the next
// enforcement that it accepts.
type Policies struct {
	rows   PolicyRows
	queues PolicySetter
	log    *slog.Logger
}

// NewPolicies returns Policies.
func NewPolicies(rows PolicyRows, queues PolicySetter, log *slog.Logger) *Policies {
	return &Policies{rows: rows, queues: queues, log: log}
}

// Run sends the changed policies once and logs failures. It returns nil when ctx ends.
func (p *Policies) Run(ctx context.Context) error {
	changed, err := p.rows.ApplyPolicies(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "policies not applied to running queues", "error", err)
	}
	for _, admission := range changed {
		if err := p.queues.SetPolicy(ctx, admission.Queue, admission.Policy); err != nil {
			p.log.WarnContext(ctx, "policy not sent to a running queue", "queue", admission.Queue, "error", err)
		}
	}
	<-ctx.Done()
	return nil
}
