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

// Claims replies to the claims of workers. At most one worker gets an attempt. A claim for another installation is refused: its
// request is older than the restore of the database, and its ids can mean other executions now.
type Claims struct {
	claimer      Claimer
	installation attune.InstallationID
	lease        time.Duration
}

// NewClaims returns Claims of an installation that grants leases of the given length.
func NewClaims(claimer Claimer, installation attune.InstallationID, lease time.Duration) *Claims {
	return &Claims{claimer: claimer, installation: installation, lease: lease}
}

// Handle returns one reply per claim, in the order of the batch.
func (c *Claims) Handle(ctx context.Context, batch []attune.ExecutionClaimMessage) ([]attune.ExecutionClaimReply, error) {
	replies := make([]attune.ExecutionClaimReply, len(batch))
	var ours []attune.ExecutionClaimMessage
	var places []int
	for i, claim := range batch {
		replies[i] = attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: claim.Attempt}
		if claim.Installation == c.installation {
			ours, places = append(ours, claim), append(places, i)
		}
	}
	if len(ours) == 0 {
		return replies, nil
	}
	granted, err := c.claimer.Claim(ctx, ours, c.lease)
	if err != nil {
		return nil, fmt.Errorf("claim %d executions: %w", len(ours), err)
	}
	for i, reply := range granted {
		replies[places[i]] = reply
	}
	return replies, nil
}
