package semaphore

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"github.com/attune-go/attune"
)

// encodingVersion is the version of the JSON form. A reader refuses any other version, because code that does not know all of
// the state must not continue a queue. From the first release on, a reader also knows every earlier version.
const encodingVersion = 1

// carried is the JSON form of a [State]. Lists of tickets and holders are packed; all other fields are readable.
//
// Stored in Temporal's history: the input of every run of the queue's workflow.
type carried struct {
	Version  int                   `json:"v"`
	Policy   attune.QueuePolicy    `json:"policy"`
	Mode     attune.QueueMode      `json:"mode,omitempty"` // empty means open
	Override *attune.LimitOverride `json:"override,omitempty"`
	// LaneLimits are readable: people look for them, and there are few.
	LaneLimits []attune.LaneLimit `json:"lane_limits,omitempty"`
	Next       int64              `json:"next"`
	LastGrant  int64              `json:"last_grant"`
	// Generation is the number of rebuilds of the queue.
	Generation int64             `json:"generation,omitempty"`
	Accepted   int64             `json:"accepted,omitempty"`
	Freed      []int64           `json:"freed,omitempty"`
	Holders    packed            `json:"holders,omitzero"`
	Waiting    packed            `json:"waiting,omitzero"`
	Early      packed            `json:"early,omitzero"`
	Starts     packed            `json:"starts,omitzero"` // of the rates in the policy, in its order
	OpenedAt   time.Time         `json:"opened_at,omitzero"`
	EndedEarly []int64           `json:"ended_early,omitempty"`
	Unseen     packed            `json:"unseen,omitzero"`
	Settling   []carriedSettling `json:"settling,omitempty"`
	Recorded   int64             `json:"recorded,omitempty"`
	Reacquired []attune.Ticket   `json:"reacquired,omitempty"`
	LastChange int64             `json:"last_change,omitempty"`
	Changes    []pendingChange   `json:"unrecorded_changes,omitempty"`
	Made       []madeRequest     `json:"made,omitempty"`
	Counters   Counters          `json:"counters"`
	// InspectAfter is omitted if it is the default.
	InspectAfter attune.Duration `json:"inspect_after,omitzero"`
	Sleep        carriedSleep    `json:"sleep,omitzero"`
}

// carriedSleep is the JSON form of [sleep]. After is omitted if it is the default.
type carriedSleep struct {
	After     attune.Duration `json:"after,omitzero"`
	CheckAt   time.Time       `json:"check_at,omitzero"`
	LastGrant int64           `json:"last_grant,omitempty"`
	UpTo      int64           `json:"up_to,omitempty"`
	Done      int64           `json:"done,omitempty"`
}

// carriedSettling is a series of consecutive settlements with the same status, reason and bound.
type carriedSettling struct {
	Status  attune.EnforcementStatus `json:"status"`
	Reason  attune.Reason            `json:"reason"`
	Bound   *attune.Bound            `json:"bound,omitempty"`
	Tickets packed                   `json:"tickets"`
}

// MarshalJSON encodes the state for the next run.
func (s *State) MarshalJSON() ([]byte, error) {
	c := carried{
		Version: encodingVersion, Policy: s.policy, Mode: s.mode, Override: s.override, LaneLimits: s.laneLimits,
		Next: s.next, LastGrant: s.lastGrant,
		Generation: s.generation, Accepted: s.accepted, Sleep: s.sleep.carried(), Freed: s.freed, Holders: packHolders(s.holders),
		Starts: packStarts(s.logs), OpenedAt: s.openedAt,
		Waiting: pack(s.line.tickets()), Early: pack(s.early), EndedEarly: s.endedEarly, Unseen: packPlaces(s.unseen),
		Recorded: s.recorded, Reacquired: s.reacquired,
		Counters:   s.counters,
		LastChange: s.lastChange, Changes: s.unrecordedChanges, Made: s.made,
	}
	if s.inspectAfter != InspectAfter {
		c.InspectAfter = attune.Duration(s.inspectAfter)
	}
	c.Settling = packSettling(s.settling)
	return json.Marshal(c)
}

func packSettling(settling []attune.Settlement) (series []carriedSettling) {
	for start := 0; start < len(settling); {
		first, tickets := settling[start], []attune.Ticket(nil)
		for start < len(settling) && alike(settling[start], first) {
			tickets = append(tickets, settling[start].Ticket)
			start++
		}
		series = append(series, carriedSettling{Status: first.Status, Reason: first.Reason, Bound: first.Bound, Tickets: pack(tickets)})
	}
	return series
}

// alike reports whether two settlements differ at most in their tickets.
func alike(a, b attune.Settlement) bool {
	sameBound := a.Bound == b.Bound || a.Bound != nil && b.Bound != nil && *a.Bound == *b.Bound
	return a.Status == b.Status && a.Reason == b.Reason && sameBound
}

// UnmarshalJSON decodes a state from MarshalJSON. It returns an error for damaged data and for another version of the encoding.
func (s *State) UnmarshalJSON(data []byte) error {
	var c carried
	if err := json.Unmarshal(data, &c); err != nil {
		return fmt.Errorf("queue state: %w", err)
	}
	if c.Version != encodingVersion {
		return fmt.Errorf("queue state has version %d, this program reads version %d: deploy a version of attune that reads it",
			c.Version, encodingVersion)
	}
	restored := State{
		line: newLine(), freed: c.Freed,
		mode: cmp.Or(c.Mode, attune.QueueOpen), override: c.Override, next: c.Next, lastGrant: c.LastGrant,
		generation: c.Generation, accepted: c.Accepted, sleep: c.Sleep.sleep(),
		endedEarly: c.EndedEarly, counters: c.Counters, recorded: c.Recorded,
		reacquired: c.Reacquired,
		lastChange: c.LastChange, unrecordedChanges: c.Changes, made: c.Made,
		inspectAfter: time.Duration(cmp.Or(c.InspectAfter, attune.Duration(InspectAfter))),
	}
	restored.usePolicy(c.Policy)
	restored.useLaneLimits(c.LaneLimits)
	if err := c.Starts.unpackStarts(restored.logs); err != nil {
		return fmt.Errorf("queue state, starts: %w", err)
	}
	holders, err := c.Holders.unpackHolders()
	if err != nil {
		return fmt.Errorf("queue state, holders: %w", err)
	}
	waiting, err := c.Waiting.unpack()
	if err != nil {
		return fmt.Errorf("queue state, waiting: %w", err)
	}
	for _, holder := range holders {
		restored.addHolder(holder)
	}
	for _, ticket := range waiting {
		restored.line.append(ticket)
	}
	restored.open(c.OpenedAt)
	if restored.early, err = c.Early.unpack(); err != nil {
		return fmt.Errorf("queue state, early: %w", err)
	}
	if restored.unseen, err = c.Unseen.unpackPlaces(); err != nil {
		return fmt.Errorf("queue state, unseen: %w", err)
	}
	for _, series := range c.Settling {
		tickets, err := series.Tickets.unpack()
		if err != nil {
			return fmt.Errorf("queue state, settling: %w", err)
		}
		for _, ticket := range tickets {
			settlement := attune.Settlement{Ticket: ticket, Status: series.Status, Reason: series.Reason, Bound: series.Bound}
			restored.settling = append(restored.settling, settlement)
		}
	}
	*s = restored
	return nil
}

func (s sleep) carried() carriedSleep {
	c := carriedSleep{CheckAt: s.checkAt, LastGrant: s.lastGrant, UpTo: s.upTo, Done: s.done}
	if s.after != SleepAfter {
		c.After = attune.Duration(s.after)
	}
	return c
}

func (c carriedSleep) sleep() sleep {
	after := time.Duration(cmp.Or(c.After, attune.Duration(SleepAfter)))
	return sleep{after: after, checkAt: c.CheckAt, lastGrant: c.LastGrant, upTo: c.UpTo, done: c.Done}
}
