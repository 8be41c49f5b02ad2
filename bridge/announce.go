package bridge

import (
	"context"
	"log/slog"
	"time"

	"github.com/attune-go/attune/internal/retry"
	"github.com/attune-go/attune/policy"
)

// How long a change of a policy waits for its queues, how long its process tells them, and how often the change looks.
const (
	announceTime   = 2 * time.Second
	tellTime       = time.Minute
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

// Announce tells queues, and returns after at most 2 s with the count of the queues that the documents of the scope cover. After that it
// goes on for a while, so that no signal is cut off. A queue that it cannot reach counts as not told, and is no error.
func (a *Announcer) Announce(ctx context.Context, scope policy.Scope, ref string) (policy.Reach, error) {
	answer, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		longer, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
		defer cancel()
		a.tell(longer, scope, ref)
	}()
	select {
	case <-done:
	case <-answer.Done():
	}
	for {
		reach, err := a.reach.Reach(ctx, scope, ref)
		if err != nil || reach.NotTold == 0 || answer.Err() != nil {
			return reach, err
		}
		retry.Wait(answer, announcePeriod) // another process tells the rest, or tells again what failed
	}
}

// tell tells the queues of all changes so far that no other process takes.
func (a *Announcer) tell(ctx context.Context, scope policy.Scope, ref string) {
	for more := true; more && ctx.Err() == nil; {
		var err error
		if more, err = a.policies.step(ctx); err != nil {
			a.log.WarnContext(ctx, "not every queue was told a changed policy, a bridge tries again",
				"scope", scope, "ref", ref, "error", err)
		}
	}
}
