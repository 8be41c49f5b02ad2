package bridge

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/time/rate"

	"github.com/attune-go/attune"
)

// Claimer decides which worker runs an attempt, by compare-and-set on the execution's row, and grants the worker a lease.
type Claimer interface {
	Claim(ctx context.Context, claims []attune.ExecutionClaimMessage, lease time.Duration) ([]attune.ClaimDecision, error)
}

// Secrets decrypts what attempts need.
type Secrets interface {
	// Resolve completes the inputs of the granted claims by their demands. An input whose secrets cannot be had gets a refusal. An
	// error means that nothing is known about the secrets, and that no input is complete.
	Resolve(ctx context.Context, decisions []attune.ClaimDecision) error
}

// SignedClaim is a claim as it arrives.
type SignedClaim = attune.Signed[attune.ExecutionClaimMessage]

// Claims replies to the claims of workers. At most one worker gets an attempt. A claim for another installation is refused: its
// request is older than the restore of the database, and its ids can mean other executions now.
//
// A claim with a wrong signature, or of another pool than that of the attempt, becomes a dead letter. A valid claim with another key
// than the first one is counted and gets the reply "not granted": also an honest worker sends one, when the broker delivers a request
// twice.
type Claims struct {
	claimer      Claimer
	secrets      Secrets
	signer       *Signer
	installation attune.InstallationID
	lease        time.Duration
	refused      Refused
	log          *slog.Logger
	logged       *rate.Limiter
}

// NewClaims returns Claims of an installation that grants leases of the given length. refused is called for every claim that was
// refused because of its signature, its content or its key.
func NewClaims(
	claimer Claimer, secrets Secrets, signer *Signer, installation attune.InstallationID, lease time.Duration, refused Refused,
	log *slog.Logger,
) *Claims {
	return &Claims{
		claimer: claimer, secrets: secrets, signer: signer, installation: installation, lease: lease, refused: refused, log: log,
		logged: rate.NewLimiter(linesPerSecond, linesPerSecond),
	}
}

// Handle returns one signed reply per claim, in the order of the batch. Its error is an [attune.BatchError] if it refused claims;
// [Failed] answers these.
func (c *Claims) Handle(ctx context.Context, batch []SignedClaim) ([]attune.SignedReply, error) {
	verified := verify(ctx, batch, c.refused)
	replies, err := c.decide(ctx, verified)
	if err != nil {
		return nil, err
	}
	signed, err := signAll(c.signer, batch, replies, verified)
	return signed, cmp.Or(err, verified.err())
}

// decide returns one reply per claim, and refuses claims of verified.
func (c *Claims) decide(ctx context.Context, verified verified[attune.ExecutionClaimMessage]) ([]attune.ExecutionClaimReply, error) {
	replies := make([]attune.ExecutionClaimReply, len(verified.messages))
	var ours []attune.ExecutionClaimMessage
	var places []int
	for i, claim := range verified.messages {
		replies[i] = attune.ExecutionClaimReply{Execution: claim.Execution, Attempt: claim.Attempt}
		if verified.bad[i] == nil && claim.Installation == c.installation {
			ours, places = append(ours, claim), append(places, i)
		}
	}
	if len(ours) == 0 {
		return replies, nil
	}
	decisions, err := c.claimer.Claim(ctx, ours, c.lease)
	if err != nil {
		return nil, fmt.Errorf("claim %d executions: %w", len(ours), err)
	}
	if err := c.secrets.Resolve(ctx, decisions); err != nil { // a worker repeats its claim
		return nil, fmt.Errorf("decrypt the secrets of %d executions: %w", len(ours), err)
	}
	for i, decision := range decisions {
		reply, err := c.reply(ctx, ours[i], decision)
		if err != nil {
			verified.refuse(places[i], err)
		}
		replies[places[i]] = reply
	}
	return replies, nil
}

// reply returns the reply to a claim, with the input of a granted claim encrypted for its reply key.
func (c *Claims) reply(
	ctx context.Context, claim attune.ExecutionClaimMessage, d attune.ClaimDecision,
) (reply attune.ExecutionClaimReply, err error) {
	if d.OtherKey {
		c.refused(ctx, attune.KeyExecutionClaim, attune.RefusedKey)
		if c.logged.Allow() {
			c.log.InfoContext(ctx, "claim refused: another worker has claimed the attempt", "execution", claim.Execution,
				"attempt", claim.Attempt, "worker", claim.Worker, "key", claim.Key)
		}
	}
	if d.OtherPool {
		c.refused(ctx, attune.KeyExecutionClaim, attune.RefusedPool)
		return attune.ExecutionClaimReply{}, attune.Refuse(attune.RefusedPool,
			"claim of worker %q, key %s: attempt %d of execution %d does not wait for the pool %q",
			claim.Worker, claim.Key, claim.Attempt, claim.Execution, claim.Pool)
	}
	if d.Reply.Granted {
		d.Reply.EncryptedInput, err = claim.Encrypt(d.Input)
	}
	return d.Reply, err
}
