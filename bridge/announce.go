package bridge

import (
	"context"
	"log/slog"
	"time"

	"github.com/attune-go/attune/policy"
)

// How long a change of a policy waits for its queues, and how often it looks.
const (
	announceTime   = 2 * time.Second
	announcePeriod = 20 * time.Millisecond
)

// ReachCounter counts the queues that follow the documents of a scope.
type ReachCounter interface {
	Reach(ctx context.Context, scope policy.Scope, ref string) (policy.Reach, error)
}

// Announcer tells the queues of a changed document their new policies right after the change. Processes with [Policies.Run] tell the
// queues that it does not reach in time.
type Announcer struct {
	policies *Policies
	reach    ReachCounter
	log      *slog.Logger
}

// NewAnnouncer returns an Announcer.
func NewAnnouncer(policies *Policies, reach ReachCounter, log *slog.Logger) *Announcer {
	return &Announcer{policies: policies, reach: reach, log: log}
}

// Announce tells queues for at most 2 s, and counts the queues that the documents of the scope cover. A queue that it cannot reach
// counts as not told, and is no error.
func (a *Announcer) Announce(ctx context.Context, scope policy.Scope, ref string) (policy.Reach, error) {
	timed, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	for {
		more, err := a.policies.step(timed)
		if err != nil && timed.Err() == nil {
			a.log.WarnContext(ctx, "not every queue was told a changed policy, a bridge tries again",
				"scope", scope, "ref", ref, "error", err)
		}
		if more && timed.Err() == nil {
			continue
		}
		reach, countErr := a.reach.Reach(ctx, scope, ref)
		if countErr != nil || reach.NotTold == 0 || err != nil || timed.Err() != nil {
			return reach, countErr
		}
		wait(timed, announcePeriod) // another process tells the rest
	}
}
