package semaphore

import (
	"fmt"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// rememberedRequests is how many change requests a queue remembers after their changes were recorded. A caller that lost the
// reply can repeat its request until that many other requests have arrived.
const rememberedRequests = 100

// pendingChange is a manual change that is not recorded yet.
//
// Stored in Temporal's history: part of the carried [State].
type pendingChange struct {
	attune.QueueChange
	// SettledBefore is the number of settlements that must be recorded before the change or together with it. For a cancel,
	// this includes its own settlement.
	SettledBefore int64 `json:"settled_before,omitempty"`
	// Mode and Override are the mode and the manual limit of the queue after the change.
	Mode     attune.QueueMode      `json:"mode,omitempty"`
	Override *attune.LimitOverride `json:"override,omitempty"`
	// LaneOverride is the manual limit of the lane after a change of the lane's limit.
	LaneOverride *attune.LimitOverride `json:"lane_override,omitempty"`
}

// madeRequest is a request whose change was made.
//
// Stored in Temporal's history: part of the carried [State].
type madeRequest struct {
	ID     string `json:"id"`
	Number int64  `json:"n"` // of the change
	// Failure says why the change turned out to have no effect, or could not be recorded. It is empty otherwise.
	Failure     string      `json:"failure,omitempty"`
	FailureCode attune.Code `json:"failure_code,omitempty"`
}

// Change makes a manual change and returns its number. A repeated request changes nothing and returns the same number. An
// invalid request is [attune.CodeInvalid]. A request without effect, or the cancel of a ticket that does not wait, is
// [attune.CodeConflict].
//
// Deadlines of tickets do not stop while the queue is paused. A holder cannot be cancelled here: the end of its execution frees
// the slot.
func (s *State) Change(now time.Time, r attune.ChangeRequest) (number int64, err error) {
	if i := s.requestOf(r.ID); i >= 0 {
		return s.made[i].Number, nil
	}
	if err := r.Validate(); err != nil {
		return 0, err
	}
	s.decide(now) // a manual limit or a ticket can have expired
	change := attune.QueueChange{Request: r.ID, At: precise(now), Author: r.Author, Kind: r.Kind}
	switch r.Kind {
	case attune.ChangeMode:
		err = s.setMode(&change, r.Mode)
	case attune.ChangeLimit:
		err = s.setLimit(&change, r.Limit)
	case attune.ChangeLaneLimit:
		err = s.setLaneLimit(&change, r.Lane, r.Limit)
	default:
		err = s.cancel(&change, r.Ticket)
	}
	if err != nil {
		return 0, err
	}
	s.log(change)
	s.proceed(now)
	return s.lastChange, nil
}

func (s *State) setMode(change *attune.QueueChange, mode attune.QueueMode) error {
	if mode == s.mode {
		return attune.Errorf(attune.CodeConflict, "the queue is already %s", mode)
	}
	change.From, change.To = string(s.mode), string(mode)
	s.mode = mode
	return nil
}

// untilSeconds truncates the end of a manual limit to whole seconds, the precision of the recorded change.
func untilSeconds(change *attune.QueueChange, override *attune.LimitOverride) (*attune.LimitOverride, error) {
	if override == nil || override.Until.IsZero() {
		return override, nil
	}
	until := override.Until.UTC().Truncate(time.Second)
	if !until.After(change.At) {
		return nil, attune.Errorf(attune.CodeInvalid, "until %s: use a time in the future", until.Format(time.RFC3339))
	}
	return &attune.LimitOverride{Limit: override.Limit, Until: until}, nil
}

// setLimit sets or clears the manual limit.
func (s *State) setLimit(change *attune.QueueChange, override *attune.LimitOverride) error {
	override, err := untilSeconds(change, override)
	if err != nil {
		return err
	}
	change.From, change.To = s.limitText(s.override), s.limitText(override)
	switch {
	case change.From != change.To:
		s.override = override
		return nil
	case override == nil:
		return attune.Errorf(attune.CodeConflict, "the policy's limit is already in force")
	default:
		return attune.Errorf(attune.CodeConflict, "the limit is already %s", change.To)
	}
}

func (s *State) limitText(override *attune.LimitOverride) string {
	if override == nil {
		return fmt.Sprintf("%d by policy", s.policy.Limit)
	}
	return override.String()
}

// cancel settles a ticket that waits or has not arrived yet. A cancelled ticket that has not arrived frees no slot of its
// enforcement, because the caller can have named a wrong sequence.
func (s *State) cancel(change *attune.QueueChange, ticket attune.Ticket) error {
	if !s.dropWaiting(ticket) {
		s.counters.Unknown++
		return attune.Errorf(attune.CodeConflict, "enforcement %d does not wait in this queue", ticket.Enforcement)
	}
	s.settle(ticket, attune.EnforcementCancelled, attune.ReasonCancelled)
	change.Enforcement = ticket.Enforcement
	change.From, change.To = string(attune.EnforcementQueued), string(attune.EnforcementCancelled)
	return nil
}

func (s *State) log(change attune.QueueChange) {
	s.lastChange++
	change.Number = s.lastChange
	pending := pendingChange{QueueChange: change, Mode: s.mode, Override: s.override}
	switch change.Kind {
	case attune.ChangeCancel:
		pending.SettledBefore = s.recorded + int64(len(s.settling))
	case attune.ChangeLaneLimit:
		pending.LaneOverride = s.laneOverride(change.Lane)
	default:
	}
	s.unrecordedChanges = append(s.unrecordedChanges, pending)
	s.made = append(s.made, madeRequest{ID: change.Request, Number: change.Number})
	if excess := len(s.made) - max(len(s.unrecordedChanges), rememberedRequests); excess > 0 {
		s.made = slices.Delete(s.made, 0, excess)
	}
}

func (s *State) requestOf(id string) int {
	return slices.IndexFunc(s.made, func(m madeRequest) bool { return m.ID == id })
}

// UnrecordedChanges returns up to n unrecorded changes, oldest first, with the mode and the manual limits after the last of
// them. settlements is the number of [State.UnrecordedSettlements] that the caller records together with them. A cancel is
// returned only if its settlement is recorded before or among these.
func (s *State) UnrecordedChanges(n, settlements int) attune.QueueControl {
	control := attune.QueueControl{Generation: s.generation, Mode: s.mode, Override: s.override}
	for _, pending := range s.unrecordedChanges[:min(n, len(s.unrecordedChanges))] {
		if pending.SettledBefore > s.recorded+int64(settlements) {
			break
		}
		control.Changes = append(control.Changes, pending.QueueChange)
		control.Mode, control.Override = pending.Mode, pending.Override
		if pending.Kind == attune.ChangeLaneLimit {
			control.Lanes = slices.DeleteFunc(control.Lanes, func(l attune.LaneControl) bool { return l.Lane == pending.Lane })
			control.Lanes = append(control.Lanes, attune.LaneControl{
				Lane: pending.Lane, Change: pending.Number, Override: pending.LaneOverride,
			})
		}
	}
	return control
}

// ChangesRecorded removes the first n unrecorded changes: the database has them.
func (s *State) ChangesRecorded(n int) {
	s.unrecordedChanges = slices.Delete(s.unrecordedChanges, 0, min(n, len(s.unrecordedChanges)))
}

// ChangeUnrecordable removes the first unrecorded change, because the database refuses it permanently, and stores the reason
// for its caller.
func (s *State) ChangeUnrecordable(reason string) {
	if len(s.unrecordedChanges) == 0 {
		return
	}
	s.fail(s.unrecordedChanges[0].Number, attune.CodeInternal, "the change was made but cannot be recorded: "+reason)
	s.counters.Unrecordable++
	s.ChangesRecorded(1)
}

// refuseCancel marks the pending cancel of a ticket as failed, because the row of the ticket has a grant.
func (s *State) refuseCancel(ticket attune.Ticket) {
	for _, pending := range s.unrecordedChanges {
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

// ChangeOutcome reports whether a change has been recorded or given up. failure says why the change had no effect or was not
// recorded.
func (s *State) ChangeOutcome(number int64) (recorded bool, failure error) {
	if len(s.unrecordedChanges) > 0 && s.unrecordedChanges[0].Number <= number {
		return false, nil
	}
	for _, made := range s.made {
		if made.Number == number && made.Failure != "" {
			return true, attune.Errorf(made.FailureCode, "%s", made.Failure)
		}
	}
	return true, nil
}

// Changes returns the number of manual changes made so far.
func (s *State) Changes() int64 { return s.lastChange }
