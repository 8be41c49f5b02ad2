package semaphore

import (
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// rememberedRequests is how many requests for changes a queue remembers after their changes were recorded. A request that
// arrives again within that many others is known; its caller had lost the answer.
const rememberedRequests = 100

// pendingChange is a change that was made by hand and is not recorded yet.
type pendingChange struct {
	attune.QueueChange
	// After is how many settlements are recorded before or together with the change. For a cancel, that includes its own.
	After int64 `json:"after,omitempty"`
	// Mode and Override are how the queue was set by hand once the change was made.
	Mode     attune.QueueMode      `json:"mode,omitempty"`
	Override *attune.LimitOverride `json:"override,omitempty"`
}

// madeRequest is a request whose change was made.
type madeRequest struct {
	ID     string `json:"id"`
	Number int64  `json:"n"`
	// Failure says why the change has no effect or no record after all; empty if it has both.
	Failure     string      `json:"failure,omitempty"`
	FailureCode attune.Code `json:"failure_code,omitempty"`
}

// Change makes a change by hand and returns the number under which it is recorded. A request that was made before changes
// nothing and returns the same number. A request that no queue can carry out is [attune.CodeInvalid]; one that changes
// nothing, or whose ticket does not wait, is [attune.CodeConflict].
//
// While the queue is paused, waiting time goes on, and so do deadlines. A ticket that holds a slot is not cancelled: the end
// of its execution frees the slot.
func (s *State) Change(now time.Time, r attune.ChangeRequest) (number int64, err error) {
	if i := s.requestOf(r.ID); i >= 0 {
		return s.made[i].Number, nil
	}
	if err := r.Validate(); err != nil {
		return 0, err
	}
	s.decide(now) // a limit by hand may have run out, a ticket may have expired
	change := attune.QueueChange{Request: r.ID, At: now, Author: r.Author, Kind: r.Kind}
	switch r.Kind {
	case attune.ChangeMode:
		err = s.setMode(&change, r.Mode)
	case attune.ChangeLimit:
		err = s.setLimit(&change, r.Limit)
	default:
		err = s.cancel(&change, r.Ticket)
	}
	if err != nil {
		return 0, err
	}
	s.log(change)
	s.admitArrived()
	s.decide(now)
	return s.changes, nil
}

func (s *State) setMode(change *attune.QueueChange, mode attune.QueueMode) error {
	if mode == s.mode {
		return attune.Errorf(attune.CodeConflict, "the queue is %s already", mode)
	}
	change.From, change.To = string(s.mode), string(mode)
	s.mode = mode
	return nil
}

// setLimit keeps the end of a limit in whole seconds, as the record of the change has it.
func (s *State) setLimit(change *attune.QueueChange, override *attune.LimitOverride) error {
	if override != nil && !override.Until.IsZero() {
		until := override.Until.UTC().Truncate(time.Second)
		if !until.After(change.At) {
			return attune.Errorf(attune.CodeInvalid, "until %s: the time has passed", until.Format(time.RFC3339))
		}
		override = &attune.LimitOverride{Limit: override.Limit, Until: until}
	}
	change.From, change.To = s.limitText(s.override), s.limitText(override)
	switch {
	case change.From != change.To:
		s.override = override
		return nil
	case override == nil:
		return attune.Errorf(attune.CodeConflict, "the limit is the policy's already")
	default:
		return attune.Errorf(attune.CodeConflict, "the limit is %s already", change.To)
	}
}

func (s *State) limitText(override *attune.LimitOverride) string {
	if override == nil {
		return fmt.Sprintf("%d by policy", s.policy.Limit)
	}
	return override.String()
}

// cancel takes a ticket out of the line that it waits in, or would have come to.
func (s *State) cancel(change *attune.QueueChange, ticket attune.Ticket) error {
	if !s.Awaits(ticket) || !s.dropWaiting(ticket) {
		s.counters.Unknown++
		return attune.Errorf(attune.CodeConflict, "enforcement %d does not wait in this queue", ticket.Enforcement)
	}
	s.settle(ticket, attune.EnforcementCancelled, attune.ReasonCancelled)
	change.Enforcement = ticket.Enforcement
	change.From, change.To = string(attune.EnforcementQueued), string(attune.EnforcementCancelled)
	return nil
}

func (s *State) log(change attune.QueueChange) {
	s.changes++
	change.Number = s.changes
	pending := pendingChange{QueueChange: change, Mode: s.mode, Override: s.override}
	if change.Kind == attune.ChangeCancel {
		pending.After = s.recorded + int64(len(s.settling))
	}
	s.unlogged = append(s.unlogged, pending)
	s.made = append(s.made, madeRequest{ID: change.Request, Number: change.Number})
	if excess := len(s.made) - max(len(s.unlogged), rememberedRequests); excess > 0 {
		s.made = slices.Delete(s.made, 0, excess)
	}
}

func (s *State) requestOf(id string) int {
	return slices.IndexFunc(s.made, func(m madeRequest) bool { return m.ID == id })
}

// Unlogged returns up to n changes that are not recorded, oldest first, with how the queue was set by hand after the last of
// them. settlements says how many of the [State.Unrecorded] settlements are recorded with them: a cancel is never recorded
// without its settlement.
func (s *State) Unlogged(n, settlements int) attune.QueueControl {
	control := attune.QueueControl{Generation: s.generation, Mode: s.mode, Override: s.override}
	for _, pending := range s.unlogged[:min(n, len(s.unlogged))] {
		if pending.After > s.recorded+int64(settlements) {
			break
		}
		control.Changes = append(control.Changes, pending.QueueChange)
		control.Mode, control.Override = pending.Mode, pending.Override
	}
	return control
}

// Logged removes the first n unrecorded changes: the rows have them.
func (s *State) Logged(n int) {
	s.unlogged = slices.Delete(s.unlogged, 0, min(n, len(s.unlogged)))
}

// Unloggable removes the first unrecorded change: the rows refuse it for ever, for the reason given.
func (s *State) Unloggable(reason string) {
	if len(s.unlogged) == 0 {
		return
	}
	s.fail(s.unlogged[0].Number, attune.CodeInternal, "the change was made and cannot be recorded: "+reason)
	s.counters.Unloggable++
	s.Logged(1)
}

// refuseCancel notes that a cancel has no effect: the row of its ticket says that the ticket holds a slot, or has run.
func (s *State) refuseCancel(ticket attune.Ticket) {
	for _, pending := range s.unlogged {
		if pending.Kind == attune.ChangeCancel && pending.Enforcement == ticket.Enforcement {
			s.fail(pending.Number, attune.CodeConflict, fmt.Sprintf("enforcement %d does not wait in this queue", ticket.Enforcement))
		}
	}
}

func (s *State) fail(number int64, code attune.Code, reason string) {
	for i := range s.made {
		if s.made[i].Number == number {
			s.made[i].FailureCode, s.made[i].Failure = code, reason
		}
	}
}

// ChangeRecorded reports whether the record of a change is settled, and why it has no effect or no record after all.
func (s *State) ChangeRecorded(number int64) (settled bool, failure error) {
	if len(s.unlogged) > 0 && s.unlogged[0].Number <= number {
		return false, nil
	}
	for _, made := range s.made {
		if made.Number == number && made.Failure != "" {
			return true, attune.Errorf(made.FailureCode, "%s", made.Failure)
		}
	}
	return true, nil
}

// Changes is how many changes were made by hand so far.
func (s *State) Changes() int64 { return s.changes }
