package ingest

import (
	"context"
	"runtime"

	"github.com/attune-go/attune"
)

// slots bound the evaluations that run at the same time. An evaluation is pure computation, and package rules bounds its memory. So
// more evaluations than processors take more memory and finish no sooner. Callers wait in the order of their calls.
type slots chan struct{}

// newSlots returns n slots. 0 means one for each processor that the process may use.
func newSlots(n int) slots {
	if n == 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return make(slots, n)
}

// use runs an evaluation in a slot. When ctx ends before a slot is free, use runs nothing and returns an [attune.CodeUnavailable]
// error.
func (s slots) use(ctx context.Context, evaluate func()) error {
	select {
	case s <- struct{}{}:
	case <-ctx.Done():
		return attune.WrapError(attune.CodeUnavailable, ctx.Err(),
			"%d evaluations are running, and others wait: try again", cap(s))
	}
	defer func() { <-s }()
	evaluate()
	return nil
}
