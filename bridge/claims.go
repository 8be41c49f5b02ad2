package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// Claimer decides which worker runs an attempt, by compare-and-set on the execution's row, and for how long unless the worker
// renews its lease.
type Claimer interface {
	Claim(ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration) ([]attune.ExecutionClaimReply, error)
}

// Claims answers workers that want to run an attempt. One attempt, one runner.
type Claims struct {
	claimer Claimer
	lease   time.Duration
}

// NewClaims returns Claims that grant leases of the given length.
func NewClaims(claimer Claimer, lease time.Duration) *Claims {
	return &Claims{claimer: claimer, lease: lease}
}

// Handle answers a batch, in its order.
func (c *Claims) Handle(ctx context.Context, batch []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	replies, err := c.claimer.Claim(ctx, batch, c.lease)
	if err != nil {
		return nil, fmt.Errorf("claim %d executions: %w", len(batch), err)
	}
	return replies, nil
}
