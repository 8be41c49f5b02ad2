package worker

import (
	"context"
	"sync"

	"github.com/attune-go/attune"
)

// rememberedAttempts is how many ended attempts a worker remembers. A copy of a request arrives when a connection was
// lost before the acknowledgement got through, which is a matter of seconds; this is many minutes of full load.
const rememberedAttempts = 1 << 15

func attemptOf(m attune.ExecutionRequestedMessage) attune.AttemptID {
	return attune.AttemptID{Execution: m.Execution, Attempt: m.Attempt}
}

// attempt is an attempt whose request this worker has taken.
type attempt struct {
	id      attune.AttemptID
	end     context.CancelCauseFunc // ends its process, or keeps it from starting
	kill    func()                  // leaves a process that is being ended no more time; call end first
	killed  <-chan struct{}         // closed by kill
	decided chan struct{}           // closed when it is known whether the claim was granted
	claimed bool                    // readable once decided is closed
}

func (a *attempt) decide(claimed bool) {
	a.claimed = claimed
	close(a.decided)
}

// register knows the attempts that this worker handles or handled recently. Of several copies of a request, it admits one.
type register struct {
	mu    sync.Mutex
	known map[attune.AttemptID]*attempt
	gone  *attempt           // stands for every attempt that has ended
	ended []attune.AttemptID // a ring of those that stand as gone, at most rememberedAttempts
	next  int                // the oldest of a full ring
}

func newRegister() *register {
	gone := &attempt{end: func(error) {}, decided: make(chan struct{})}
	gone.decide(true)
	return &register{known: map[attune.AttemptID]*attempt{}, gone: gone}
}

// enter returns the attempt with that id. True means that the attempt is new and belongs to the caller, which must decide
// it, and then settle or forget it; the returned context is then the attempt's own.
func (r *register) enter(ctx context.Context, id attune.AttemptID) (context.Context, *attempt, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.known[id]; ok {
		return ctx, known, false
	}
	ctx, end := context.WithCancelCause(ctx)
	killed := make(chan struct{})
	a := &attempt{
		id: id, end: end, kill: sync.OnceFunc(func() { close(killed) }), killed: killed, decided: make(chan struct{}),
	}
	r.known[id] = a
	return ctx, a, true
}

// forget drops an attempt that was not claimed: its request may come again.
func (r *register) forget(a *attempt) {
	r.mu.Lock()
	delete(r.known, a.id)
	r.mu.Unlock()
	a.decide(false)
	a.end(nil)
}

// retire remembers that a claimed attempt has ended.
func (r *register) retire(a *attempt) {
	a.end(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.known[a.id] = r.gone
	if len(r.ended) < rememberedAttempts {
		r.ended = append(r.ended, a.id)
		return
	}
	delete(r.known, r.ended[r.next])
	r.ended[r.next] = a.id
	r.next = (r.next + 1) % rememberedAttempts
}

// end ends an attempt that this worker handles, and reports whether it handles the attempt.
func (r *register) end(id attune.AttemptID, cause error) bool {
	r.mu.Lock()
	a, ok := r.known[id]
	r.mu.Unlock()
	if !ok || a == r.gone {
		return false
	}
	a.end(cause)
	return true
}

// here lists the attempts that have not ended.
func (r *register) here() []attune.AttemptID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []attune.AttemptID
	for id, a := range r.known {
		if a != r.gone {
			ids = append(ids, id)
		}
	}
	return ids
}
