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
	// renewalsPerLease is how often a lease is renewed in its time, so that it takes several failures in a row to lose it.
	renewalsPerLease = 6
	// minRenewal bounds how often a renewal is asked for when a lease is absurdly short.
	minRenewal = 10 * time.Millisecond
)

// lease is how long an attempt may run without a renewal. A lease begins when the worker sends the claim or renewal that
// grants it, which is never later than the reply. Its times are monotonic.
type lease struct {
	from   time.Time
	length time.Duration // more than 0
}

func (l lease) over() time.Time { return l.from.Add(l.length) }

// endBy is when the worker asks an action to end, and killBy when it kills the action. endBy leaves time before killBy, and
// killBy leaves time for the kernel.
func (l lease) endBy() time.Time  { return l.over().Add(-l.length / 4) }
func (l lease) killBy() time.Time { return l.over().Add(-l.length / 16) }

// period is the time from one renewal to the next, and the longest wait for the reply to a renewal.
func (l lease) period() time.Duration { return max(l.length/renewalsPerLease, minRenewal) }

// lostError is the cause that ends an action because the worker has lost its lease, or is about to lose it.
type lostError struct{ why string }

func (e *lostError) Error() string { return e.why }

// heldLease is an attempt with a lease.
type heldLease struct {
	*attempt
	lease
	asked  time.Time // when its renewal was asked for last, answered or not
	lost   bool      // its action was ended for its lease
	killed bool      // what was left of its action as well
	ended  bool      // its action has ended and is being reported: nothing is left to be ended
}

func (h *heldLease) due() time.Time { return h.asked.Add(h.period()) }

// next is when h has to be looked at again.
func (h *heldLease) next() time.Time {
	switch {
	case h.ended || h.killed:
		return h.due()
	case h.lost:
		return earlier(h.due(), h.killBy())
	default:
		return earlier(h.due(), h.endBy())
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// renewer renews the leases of all attempts of the worker with one request. Without a renewal, it ends the action before the
// lease is over.
type renewer struct {
	claims   Claims
	worker   string
	patience time.Duration // the longest wait for an answer
	log      *slog.Logger

	changed chan struct{} // tells run to look at the leases again
	mu      sync.Mutex
	leases  map[attune.AttemptID]*heldLease
}

func newRenewer(claims Claims, cfg Config, log *slog.Logger) *renewer {
	return &renewer{
		claims: claims, worker: cfg.Name, patience: cfg.ClaimTimeout, log: log,
		changed: make(chan struct{}, 1), leases: map[attune.AttemptID]*heldLease{},
	}
}

// hold keeps an attempt's lease until release. A lease that is nearly over ends the attempt at once, so that the worker
// starts no process under that lease.
func (r *renewer) hold(a *attempt, l lease) {
	r.mu.Lock()
	h := &heldLease{attempt: a, lease: l, asked: l.from}
	r.leases[a.id] = h
	r.guard(h, time.Now())
	r.mu.Unlock()
	r.wake()
}

func (r *renewer) wake() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// actionEnded records that the attempt's action has ended. The renewer renews the lease until release all the same: otherwise the
// attempt could be given up before its report is published.
func (r *renewer) actionEnded(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h, ok := r.leases[a.id]; ok {
		h.ended = true
	}
}

// release lets go of an attempt's lease.
func (r *renewer) release(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.leases, a.id)
}

// run keeps the leases until ctx ends. A renewal without a reply delays neither the next renewal nor the end of an action.
func (r *renewer) run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		attempts, patience, next := r.look(time.Now())
		if len(attempts) > 0 {
			asking.Go(func() { r.renew(ctx, attempts, patience) })
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

// look ends the actions whose leases run out, and returns when to look again: zero without leases. If a renewal is due, look
// also returns all attempts with a lease. patience is how long to wait for the reply.
func (r *renewer) look(now time.Time) (attempts []attune.AttemptID, patience time.Duration, next time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, patience := false, r.patience
	for _, h := range r.leases {
		r.guard(h, now)
		due = due || !now.Before(h.due())
		patience = min(patience, h.period())
	}
	if due {
		attempts = slices.SortedFunc(maps.Keys(r.leases), compareAttempts)
	}
	for _, h := range r.leases {
		if due {
			h.asked = now
		}
		if at := h.next(); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	return attempts, patience, next
}

func compareAttempts(a, b attune.AttemptID) int {
	return cmp.Or(cmp.Compare(a.Execution, b.Execution), cmp.Compare(a.Attempt, b.Attempt))
}

// guard ends an action whose lease was not renewed for too long. After a pause of the whole worker both steps are one.
func (r *renewer) guard(h *heldLease, now time.Time) {
	if h.ended {
		return
	}
	if !now.Before(h.endBy()) {
		r.lose(h, "its lease ran out: no renewal was answered for %s", now.Sub(h.from).Round(time.Millisecond))
	}
	if !now.Before(h.killBy()) {
		h.killed = true
		h.kill()
	}
}

// lose asks an action to end, once.
func (r *renewer) lose(h *heldLease, format string, args ...any) {
	if h.lost {
		return
	}
	h.lost = true
	why := &lostError{why: fmt.Sprintf(format, args...)}
	r.log.Error("lease lost, ending the execution", "execution", h.id.Execution, "attempt", h.id.Attempt, "error", why)
	h.end(why)
}

// renew sends one renewal. Without a reply, the next renewal is sent when it is due.
func (r *renewer) renew(ctx context.Context, attempts []attune.AttemptID, patience time.Duration) {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	asked := time.Now()
	reply, err := r.claims.Renew(limited, attune.ExecutionRenewMessage{Worker: r.worker, Attempts: attempts})
	switch {
	case err == nil:
		r.answered(asked, attempts, reply)
	case ctx.Err() == nil:
		r.log.Warn("leases not renewed, asking again", "executions", len(attempts), "error", err)
	}
}

// answered applies the reply to the renewal that was sent at asked. The youngest answered renewal counts: a late reply to
// an older one shortens no lease. Attempts released in the meantime are skipped.
func (r *renewer) answered(asked time.Time, attempts []attune.AttemptID, reply attune.ExecutionRenewReply) {
	renewed := lease{from: asked, length: time.Duration(reply.Lease)}
	defer r.wake() // a shorter lease is to be renewed sooner
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range attempts {
		h, here := r.leases[id]
		switch {
		case !here:
		case slices.Contains(reply.Lost, id):
			r.takenAway(h)
		case renewed.length > 0 && asked.After(h.from):
			h.lease = renewed
		}
	}
}

// takenAway gives up a lease that the worker has lost. Another attempt may run already, so the action gets no time to end.
// If the action has ended, the worker still reports the outcome: the receiver of the report decides whether it counts.
func (r *renewer) takenAway(h *heldLease) {
	delete(r.leases, h.id)
	if h.ended {
		r.log.Info("lease lost before the report was confirmed", "execution", h.id.Execution, "attempt", h.id.Attempt)
		return
	}
	r.lose(h, "its lease was lost: it had run out, or the execution was ended without its worker")
	h.kill()
}
