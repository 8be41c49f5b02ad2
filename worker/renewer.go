package worker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/attune-go/attune"
)

const (
	// renewalsPerLease is how often a lease is renewed before it ends, so that the worker loses it only after several
	// failures in a row.
	renewalsPerLease = 6
	// minRenewal bounds the rate of renewals when a lease is extremely short.
	minRenewal = 10 * time.Millisecond
)

// lease is how long an attempt may run without a renewal. A lease begins when the worker sends the claim or renewal that
// grants it, which is never later than the reply. Its times are monotonic, except for the deadline of the supervisor.
type lease struct {
	from   moment
	length time.Duration // more than 0
}

func (l lease) expires() time.Time { return l.from.at.Add(l.length) }

// endBy is when the worker sends SIGTERM to an action whose lease was not renewed. killBy is when the worker sends
// SIGKILL; the time that is left then is for the kernel.
func (l lease) endBy() time.Time  { return l.expires().Add(-l.length / 4) }
func (l lease) killBy() time.Time { return l.expires().Add(-l.length / 16) }

// deadline is when the supervisor sends SIGKILL: the time of killBy on the clock that goes on while the machine is suspended.
func (l lease) deadline() bootTime { return l.from.boot + bootTime(l.length-l.length/16) }

// end is the end of the lease on the clock of the deadline.
func (l lease) end() bootTime { return l.from.boot + bootTime(l.length) }

// period is the time between two renewals, and the longest wait for the reply to a renewal.
func (l lease) period() time.Duration { return max(l.length/renewalsPerLease, minRenewal) }

// lostError is the cause that ends an action whose lease the worker has lost or is about to lose.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// trackedLease is the lease of an attempt with the progress of its renewal and its end. It is guarded by renewer.mu.
type trackedLease struct {
	attempt     *attempt
	lease       lease
	sentAt      time.Time // when the last renewal was sent, answered or not
	termSent    bool      // the action got SIGTERM because of the lease
	killSent    bool      // the action got SIGKILL because of the lease
	actionEnded bool      // the action has ended and is being reported: no process is left
}

func (t *trackedLease) renewalDue() time.Time { return t.sentAt.Add(t.lease.period()) }

// nextCheck is when the renewer must check t again.
func (t *trackedLease) nextCheck() time.Time {
	switch {
	case t.actionEnded || t.killSent:
		return t.renewalDue()
	case t.termSent:
		return earlier(t.renewalDue(), t.lease.killBy())
	default:
		return earlier(t.renewalDue(), t.lease.endBy())
	}
}

// terminate sends SIGTERM to the action, unless the lease was the reason of an earlier SIGTERM. It reports whether it did.
func (t *trackedLease) terminate(why *lostError) bool {
	if t.termSent {
		return false
	}
	t.termSent = true
	t.attempt.end(why)
	return true
}

// kill sends SIGKILL to the action.
func (t *trackedLease) kill() {
	t.killSent = true
	t.attempt.kill()
}

func (t *trackedLease) logAttrs(more ...any) []any {
	return append([]any{"execution", t.attempt.id.Execution, "attempt", t.attempt.id.Attempt}, more...)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// renewer renews the leases of all attempts of the worker together, with one request for each [attune.MaxRenewed] of them. If a
// lease is not renewed, the renewer ends the action before the lease is over.
type renewer struct {
	claims  Claims
	worker  string
	timeout time.Duration // the longest wait for a reply
	log     *slog.Logger

	changed chan struct{} // tells run to check the leases again
	mu      sync.Mutex
	leases  map[attune.AttemptID]*trackedLease // guarded by mu
}

func newRenewer(claims Claims, cfg Config, log *slog.Logger) *renewer {
	return &renewer{
		claims: claims, worker: cfg.Name, timeout: cfg.ClaimTimeout, log: log,
		changed: make(chan struct{}, 1), leases: map[attune.AttemptID]*trackedLease{},
	}
}

// hold renews the lease of an attempt until release. If the lease is nearly over, hold ends the attempt at once, so that
// the worker starts no process under it.
func (r *renewer) hold(a *attempt, l lease) {
	r.mu.Lock()
	t := &trackedLease{attempt: a, lease: l, sentAt: l.from.at}
	a.leash.set(l.deadline(), l.end())
	r.leases[a.id] = t
	r.guard(t, time.Now())
	r.mu.Unlock()
	r.wake()
}

func (r *renewer) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// actionEnded records that the attempt's action has ended. The renewer still renews the lease until release: otherwise
// the bridge could declare the attempt lost before its report is published.
func (r *renewer) actionEnded(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t, ok := r.leases[a.id]; ok {
		t.actionEnded = true
	}
}

// release stops renewing the lease of an attempt.
func (r *renewer) release(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases, a.id)
}

// run renews the leases until ctx ends. A missing reply delays neither the next renewal nor the end of an action.
func (r *renewer) run(ctx context.Context) {
	var renewals sync.WaitGroup
	defer renewals.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		attempts, timeout, next := r.check(time.Now())
		for part := range slices.Chunk(attempts, attune.MaxRenewed) {
			renewals.Go(func() { r.renew(ctx, part, timeout) })
		}
		timer.Stop()
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
		select {
		case <-timer.C:
		case <-r.changed:
		case <-ctx.Done():
			return
		}
	}
}

// check ends the actions whose leases run out, and returns the time of the next check: zero if there are no leases. If a
// renewal is due, attempts lists all attempts with a lease, and timeout bounds the wait for the reply.
func (r *renewer) check(now time.Time) (attempts []attune.AttemptID, timeout time.Duration, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, timeout := false, r.timeout
	for _, t := range r.leases {
		r.guard(t, now)
		due = due || !now.Before(t.renewalDue())
		timeout = min(timeout, t.lease.period())
	}
	if due {
		attempts = slices.SortedFunc(maps.Keys(r.leases), compareAttempts)
	}
	for _, t := range r.leases {
		if due {
			t.sentAt = now
		}
		if at := t.nextCheck(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return attempts, timeout, next
}

func compareAttempts(a, b attune.AttemptID) int {
	return cmp.Or(cmp.Compare(a.Execution, b.Execution), cmp.Compare(a.Attempt, b.Attempt))
}

// guard ends the action of a lease that was not renewed for too long. After a pause of the whole worker, it sends SIGTERM
// and SIGKILL together.
func (r *renewer) guard(t *trackedLease, now time.Time) {
	if t.actionEnded {
		return
	}
	if !now.Before(t.lease.endBy()) {
		r.endBeforeExpiry(t, now)
	}
	if !now.Before(t.lease.killBy()) {
		t.kill()
	}
}

// endBeforeExpiry sends SIGTERM to an action whose lease may expire soon: no renewal was answered.
func (r *renewer) endBeforeExpiry(t *trackedLease, now time.Time) {
	why := &lostError{why: fmt.Sprintf("the lease was not renewed: no reply for %s", now.Sub(t.lease.from.at).Round(time.Millisecond))}
	if t.terminate(why) {
		r.log.Error("lease not renewed, ending the execution before the lease expires", t.logAttrs("error", why)...)
	}
}

// renew sends one renewal. If there is no reply, run sends the next renewal when it is due.
func (r *renewer) renew(ctx context.Context, attempts []attune.AttemptID, timeout time.Duration) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	sentAt := now()
	reply, err := r.claims.Renew(limited, attune.ExecutionRenewMessage{Worker: r.worker, Attempts: attempts})
	switch {
	case err == nil:
		r.applyReply(sentAt, attempts, reply)
	case ctx.Err() == nil:
		r.log.Warn("leases not renewed, trying again", "executions", len(attempts), "error", err)
	}
}

// applyReply applies the reply to the renewal that was sent at sentAt. The latest answered renewal counts: a late reply
// to an earlier one shortens no lease. applyReply skips attempts that were released in the meantime, and those that the renewal came too
// late for: the bridge has renewed them for another request, for a time that this reply does not say.
func (r *renewer) applyReply(sentAt moment, attempts []attune.AttemptID, reply attune.ExecutionRenewReply) {
	renewed := lease{from: sentAt, length: time.Duration(reply.Lease)}
	defer r.wake() // a shorter lease needs an earlier renewal
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range attempts {
		t, ok := r.leases[id]
		switch {
		case !ok:
		case slices.Contains(reply.Lost, id):
			r.revoke(t)
		case slices.Contains(reply.Late, id):
		case renewed.length > 0 && sentAt.at.After(t.lease.from.at):
			t.lease = renewed
			t.attempt.leash.set(renewed.deadline(), renewed.end())
		}
	}
}

// revoke drops a lease that the bridge declared lost. Another worker may already run the execution, so the action gets no
// time to end. If the action has ended, the worker still reports its outcome: the receiver of the report decides whether
// the report counts.
func (r *renewer) revoke(t *trackedLease) {
	delete(r.leases, t.attempt.id)
	if t.actionEnded {
		r.log.Info("lease lost before the report was confirmed", t.logAttrs()...)
		return
	}
	why := &lostError{why: "the lease was lost: it expired, or the execution was ended without its worker"}
	if t.terminate(why) {
		r.log.Error("lease lost, killing the execution", t.logAttrs("error", why)...)
	}
	t.kill()
}
