package worker

import (
	"context"
	"sync"

	"github.com/attune-go/attune"
)

// rememberedAttempts is how many ended attempts a worker remembers. A copy of a request arrives a few seconds after a
// connection was lost before the acknowledgement reached the broker. At full load this many attempts take many minutes.
const rememberedAttempts = 1 << 15

func attemptOf(m attune.ExecutionRequestedMessage) attune.AttemptID {
	return attune.AttemptID{Installation: m.Installation, Execution: m.Execution, Attempt: m.Attempt}
}

// attempt is an attempt whose request this worker has taken.
type attempt struct {
	id      attune.AttemptID
	end     context.CancelCauseFunc // ends its process, or prevents the start of one
	kill    func()                  // ends the kill grace of its process; call end first
	killed  <-chan struct{}         // closed by kill
	leash   leash                   // ends its process when the worker no longer can
	decided chan struct{}           // closed when the reply to the claim is known
	claimed bool                    // whether the claim was granted; written before decided is closed, read after
}

func (a *attempt) decide(claimed bool) {
	a.claimed = claimed
	close(a.decided)
}

// register holds the attempts that this worker runs or ran recently. Among several copies of a request, it admits one.
type register struct {
	mu      sync.Mutex                    // guards the fields below
	known   map[attune.AttemptID]*attempt // active attempts, and the placeholder for each remembered one
	retired *attempt                      // the placeholder: constant, and decided
	ring    []attune.AttemptID            // the remembered attempts, at most rememberedAttempts
	oldest  int                           // index of the oldest entry of a full ring
}

func newRegister() *register {
	retired := &attempt{end: func(error) {}, decided: make(chan struct{})}
	retired.decide(true)
	return &register{known: map[attune.AttemptID]*attempt{}, retired: retired}
}

// enter returns the attempt with that id. isNew means that the attempt is new and belongs to the caller, which must
// decide it and later retire or forget it. Then the returned context belongs to the attempt; otherwise it is ctx.
func (r *register) enter(ctx context.Context, id attune.AttemptID) (attemptCtx context.Context, a *attempt, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.known[id]; ok {
		return ctx, known, false
	}
	ctx, end := context.WithCancelCause(ctx)
	killed := make(chan struct{})
	a = &attempt{
		id: id, end: end, kill: sync.OnceFunc(func() { close(killed) }), killed: killed, decided: make(chan struct{}),
	}
	r.known[id] = a
	return ctx, a, true
}

// forget removes an attempt that was not claimed: its request may be delivered again.
func (r *register) forget(a *attempt) {
	r.mu.Lock()
	delete(r.known, a.id)
	r.mu.Unlock()
	a.decide(false)
	a.end(nil)
}

// retire remembers a claimed attempt that has ended.
func (r *register) retire(a *attempt) {
	a.end(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[a.id] = r.retired
	if len(r.ring) < rememberedAttempts {
		r.ring = append(r.ring, a.id)
		return
	}
	delete(r.known, r.ring[r.oldest])
	r.ring[r.oldest] = a.id
	r.oldest = (r.oldest + 1) % rememberedAttempts
}

// end ends an active attempt and reports whether the attempt was active.
func (r *register) end(id attune.AttemptID, cause error) bool {
	r.mu.Lock()
	a, ok := r.known[id]
	r.mu.Unlock()
	if !ok || a == r.retired {
		return false
	}
	a.end(cause)
	return true
}

// active lists the attempts that have not ended.
func (r *register) active() []attune.AttemptID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []attune.AttemptID
	for id, a := range r.known {
		if a != r.retired {
			ids = append(ids, id)
		}
	}
	return ids
}
