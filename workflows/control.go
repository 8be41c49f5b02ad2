package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// listen registers the updates by which people change a queue. A handler changes the state in one step, without waiting in
// between, and leaves the consequences to the next turn of the main coroutine.
func (q *actionQueue) listen(ctx workflow.Context) error {
	modes := map[string]attune.QueueMode{
		UpdatePause: attune.QueuePaused, UpdateResume: attune.QueueOpen, UpdateDrain: attune.QueueDraining,
	}
	descriptions := map[string]string{
		UpdatePause:  "Grant nobody until the queue is resumed; go on taking tickets in.",
		UpdateResume: "Take tickets in and grant them.",
		UpdateDrain:  "Grant those who wait and reject newcomers until the queue is resumed.",
	}
	for _, name := range []string{UpdatePause, UpdateResume, UpdateDrain} {
		if err := handle(ctx, q, name, descriptions[name], change[ChangeRequest]{
			check: func(s *semaphore.State, r ChangeRequest) error { return r.checkMode(s, modes[name]) },
			apply: func(s *semaphore.State, now time.Time, r ChangeRequest) { s.SetMode(now, r.author(), modes[name]) },
		}); err != nil {
			return err
		}
	}
	if err := handle(ctx, q, UpdateSetLimit, "Put a limit in force instead of the policy's.", change[LimitRequest]{
		check: func(_ *semaphore.State, r LimitRequest) error { return r.check(workflow.Now(ctx)) },
		apply: func(s *semaphore.State, now time.Time, r LimitRequest) {
			s.SetOverride(now, r.author(), &r.LimitOverride)
		},
	}); err != nil {
		return err
	}
	if err := handle(ctx, q, UpdateClearLimit, "Give the limit back to the policy.", change[ChangeRequest]{
		check: func(s *semaphore.State, r ChangeRequest) error { return r.checkClear(s) },
		apply: func(s *semaphore.State, now time.Time, r ChangeRequest) { s.SetOverride(now, r.author(), nil) },
	}); err != nil {
		return err
	}
	return handle(ctx, q, UpdateCancel, "Take a waiting ticket out of the queue.", change[CancelRequest]{
		check: func(s *semaphore.State, r CancelRequest) error { return r.check(s) },
		apply: func(s *semaphore.State, now time.Time, r CancelRequest) { s.Cancel(now, r.author(), r.Ticket) },
	})
}

// change is what an update does: check says why it must not be done, apply does it.
type change[R any] struct {
	check func(*semaphore.State, R) error
	apply func(*semaphore.State, time.Time, R)
}

// handle registers an update. Its check runs before the update is accepted, and again right before it is applied: other
// changes may have come in between.
func handle[R any](ctx workflow.Context, q *actionQueue, name, description string, c change[R]) error {
	check := func(request R) error {
		if q.state == nil {
			return nil // it is being rebuilt; the handler waits for it and checks then
		}
		return refuse(c.check(q.state, request))
	}
	err := workflow.SetUpdateHandlerWithOptions(ctx, name, func(ctx workflow.Context, request R) (QueueView, error) {
		if err := workflow.Await(ctx, func() bool { return q.state != nil }); err != nil {
			return QueueView{}, err
		}
		if err := check(request); err != nil {
			return QueueView{}, err
		}
		c.apply(q.state, workflow.Now(ctx), request)
		q.changed = true
		return q.view()
	}, workflow.UpdateHandlerOptions{Validator: check, Description: description})
	if err != nil {
		return fmt.Errorf("register update %q: %w", name, err)
	}
	return nil
}

// refuse makes an error that carries its code to whoever asked for the update.
func refuse(err error) error {
	if err == nil {
		return nil
	}
	return temporal.NewNonRetryableApplicationError(err.Error(), string(attune.CodeOf(err)), nil)
}

func (r ChangeRequest) author() attune.Author {
	author := r.Author
	if author.Principal == (attune.Principal{}) {
		author.Principal = attune.Principal{Name: "temporal", Method: attune.AuthTemporal}
	}
	return author
}

func (r ChangeRequest) validate() error {
	return r.author().Validate()
}

func (r ChangeRequest) checkMode(s *semaphore.State, mode attune.QueueMode) error {
	if err := r.validate(); err != nil {
		return err
	}
	if s.Mode() == mode {
		return attune.Errorf(attune.CodeConflict, "the queue is %s already", mode)
	}
	return nil
}

func (r ChangeRequest) checkClear(s *semaphore.State) error {
	if err := r.validate(); err != nil {
		return err
	}
	if _, set := s.Override(); !set {
		return attune.Errorf(attune.CodeConflict, "the limit is the policy's already")
	}
	return nil
}

func (r LimitRequest) check(now time.Time) error {
	if err := r.validate(); err != nil {
		return err
	}
	if r.Limit < 0 || r.Limit > attune.MaxLimit {
		return attune.Errorf(attune.CodeInvalid, "limit %d: use 0 (nobody is granted) to %d", r.Limit, attune.MaxLimit)
	}
	if !r.Until.IsZero() && !r.Until.After(now) {
		return attune.Errorf(attune.CodeInvalid, "until %s: that has passed", r.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

func (r CancelRequest) check(s *semaphore.State) error {
	if err := r.validate(); err != nil {
		return err
	}
	if !s.Awaits(r.Ticket) {
		return attune.Errorf(attune.CodeConflict, "enforcement %d does not wait in this queue", r.Ticket.Enforcement)
	}
	return nil
}
