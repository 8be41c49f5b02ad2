package bridge

import (
	"context"
	"fmt"

	"github.com/attune-go/attune"
)

// Claimer decides which worker runs an attempt, by compare-and-set on the execution's row.
type Claimer interface {
	Claim(ctx context.Context, claims []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error)
}

// Claims answers workers that want to run an attempt. One attempt, one runner.
type Claims struct{ claimer Claimer }

// NewClaims returns Claims.
func NewClaims(claimer Claimer) *Claims { return &Claims{claimer: claimer} }

// Handle answers a batch, in its order.
func (c *Claims) Handle(ctx context.Context, batch []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	replies, err := c.claimer.Claim(ctx, batch)
	if err != nil {
		return nil, fmt.Errorf("claim %d executions: %w", len(batch), err)
	}
	return replies, nil
}
