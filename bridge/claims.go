package bridge

import (
	"context"
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// Claimer decides which worker runs an attempt, by compare-and-set on the execution's row, and grants the worker a lease.
type Claimer interface {
	Claim(ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration) ([]attune.ExecutionClaimReply, error)
}

// Claims replies to the claims of workers. At most one worker gets an attempt.
type Claims struct {
	claimer Claimer
	lease   time.Duration
}

// NewClaims returns Claims that grants leases of the given length.
func NewClaims(claimer Claimer, lease time.Duration) *Claims {
	return &Claims{claimer: claimer, lease: lease}
}

// Handle returns one reply per claim, in the order of the batch.
func (c *Claims) Handle(ctx context.Context, batch []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	replies, err := c.claimer.Claim(ctx, batch, c.lease)
	if err != nil {
		return nil, fmt.Errorf("claim %d executions: %w", len(batch), err)
	}
	return replies, nil
}
