package semaphore

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/attune-go/attune"
)

// encodingVersion is the version of the JSON form. A reader refuses any other version, because code that does not know all of
// the state must not continue a queue. From the first release on, a reader also knows every earlier version.
const encodingVersion = 1

// carried is the JSON form of a [State]. Long lists of tickets are packed; all other fields are readable.
//
// Stored in Temporal's history: the input of every run of the queue's workflow.
type carried struct {
	Version   int                   `json:"v"`
	Policy    attune.QueuePolicy    `json:"policy"`
	Mode      attune.QueueMode      `json:"mode,omitempty"` // empty means open
	Override  *attune.LimitOverride `json:"override,omitempty"`
	Next      int64                 `json:"next"`
	LastGrant int64                 `json:"last_grant"`
	// Generation is the number of rebuilds of the queue.
	Generation int64             `json:"generation,omitempty"`
	Holders    []Holder          `json:"holders,omitempty"`
	Waiting    packed            `json:"waiting,omitzero"`
	Early      packed            `json:"early,omitzero"`
	EndedEarly []int64           `json:"ended_early,omitempty"`
	Unseen     []place           `json:"unseen,omitempty"`
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

// carriedSettling is a series of consecutive settlements with the same status and reason.
type carriedSettling struct {
	Status  attune.EnforcementStatus `json:"status"`
	Reason  attune.Reason            `json:"reason"`
	Tickets packed                   `json:"tickets"`
}

// packed is a list of tickets as base64. Each ticket is three varints: the differences of sequence, enforcement and enqueue
// time (in milliseconds) from the previous ticket. A ticket takes 3 to 8 bytes in practice.
type packed struct {
	Count  int    `json:"count"`
	Packed string `json:"packed"`
	// Retries has the attempts of tickets that are not newcomers.
	Retries []carriedRetry `json:"retries,omitempty"`
	// Lanes has the lanes of the tickets as base64 of varints. It is omitted if every ticket is in lane 0.
	Lanes string `json:"lanes,omitempty"`
}

type carriedRetry struct {
	Index   int `json:"i"` // of the ticket in the list
	Attempt int `json:"attempt"`
}

// MarshalJSON encodes the state for the next run.
func (s *State) MarshalJSON() ([]byte, error) {
	c := carried{
		Version: encodingVersion, Policy: s.policy, Mode: s.mode, Override: s.override, Next: s.next, LastGrant: s.lastGrant,
		Generation: s.generation, Sleep: s.sleep.carried(), Holders: s.holders,
		Waiting: pack(s.waiting), Early: pack(s.early), EndedEarly: s.endedEarly, Unseen: s.unseen,
		Recorded: s.recorded, Reacquired: s.reacquired,
		Counters:   s.counters,
		LastChange: s.lastChange, Changes: s.unrecordedChanges, Made: s.made,
	}
	if s.inspectAfter != InspectAfter {
		c.InspectAfter = attune.Duration(s.inspectAfter)
	}
	for start := 0; start < len(s.settling); {
		run, tickets := s.settling[start], []attune.Ticket(nil)
		for start < len(s.settling) && s.settling[start].Status == run.Status && s.settling[start].Reason == run.Reason {
			tickets = append(tickets, s.settling[start].Ticket)
			start++
		}
		c.Settling = append(c.Settling, carriedSettling{Status: run.Status, Reason: run.Reason, Tickets: pack(tickets)})
	}
	return json.Marshal(c)
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
		policy: c.Policy, mode: cmp.Or(c.Mode, attune.QueueOpen), override: c.Override, next: c.Next, lastGrant: c.LastGrant,
		generation: c.Generation, sleep: c.Sleep.sleep(),
		holders: c.Holders, endedEarly: c.EndedEarly, unseen: c.Unseen, counters: c.Counters, recorded: c.Recorded,
		reacquired: c.Reacquired,
		lastChange: c.LastChange, unrecordedChanges: c.Changes, made: c.Made,
		inspectAfter: time.Duration(cmp.Or(c.InspectAfter, attune.Duration(InspectAfter))),
	}
	var err error
	if restored.waiting, err = c.Waiting.unpack(); err != nil {
		return fmt.Errorf("queue state, waiting: %w", err)
	}
	if restored.early, err = c.Early.unpack(); err != nil {
		return fmt.Errorf("queue state, early: %w", err)
	}
	for _, run := range c.Settling {
		tickets, err := run.Tickets.unpack()
		if err != nil {
			return fmt.Errorf("queue state, settling: %w", err)
		}
		for _, ticket := range tickets {
			settlement := attune.Settlement{Ticket: ticket, Status: run.Status, Reason: run.Reason}
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

func pack(tickets []attune.Ticket) packed {
	if len(tickets) == 0 {
		return packed{}
	}
	buf := make([]byte, 0, 8*len(tickets))
	var sequence, id, at int64
	var retries []carriedRetry
	for i, t := range tickets {
		ms := t.EnqueuedAt.UnixMilli()
		buf = binary.AppendVarint(buf, t.Sequence-sequence)
		buf = binary.AppendVarint(buf, int64(t.Enforcement)-id)
		buf = binary.AppendVarint(buf, ms-at)
		sequence, id, at = t.Sequence, int64(t.Enforcement), ms
		if !newcomer(t) {
			retries = append(retries, carriedRetry{Index: i, Attempt: t.Attempt})
		}
	}
	return packed{
		Count: len(tickets), Packed: base64.RawStdEncoding.EncodeToString(buf), Retries: retries, Lanes: packLanes(tickets),
	}
}

func packLanes(tickets []attune.Ticket) string {
	if !slices.ContainsFunc(tickets, func(t attune.Ticket) bool { return t.Lane != 0 }) {
		return ""
	}
	var buf []byte
	for _, t := range tickets {
		buf = binary.AppendUvarint(buf, uint64(t.Lane))
	}
	return base64.RawStdEncoding.EncodeToString(buf)
}

var errDamaged = errors.New("the packed list of tickets is damaged")

func (p packed) unpack() ([]attune.Ticket, error) {
	buf, err := base64.RawStdEncoding.DecodeString(p.Packed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	}
	if p.Count < 0 || p.Count > len(buf) {
		return nil, fmt.Errorf("%w: %d tickets in %d bytes", errDamaged, p.Count, len(buf))
	}
	var tickets []attune.Ticket
	var fields [3]int64
	attempts := make(map[int]int, len(p.Retries))
	for _, retry := range p.Retries {
		attempts[retry.Index] = retry.Attempt
	}
	for index := range p.Count {
		for i := range fields {
			delta, n := binary.Varint(buf)
			if n <= 0 {
				return nil, errDamaged
			}
			fields[i], buf = fields[i]+delta, buf[n:]
		}
		tickets = append(tickets, attune.Ticket{
			Enforcement: attune.EnforcementID(fields[1]), Sequence: fields[0], EnqueuedAt: time.UnixMilli(fields[2]).UTC(),
			Attempt: attempts[index],
		})
	}
	if len(buf) > 0 {
		return nil, fmt.Errorf("%w: %d bytes too many", errDamaged, len(buf))
	}
	return tickets, p.unpackLanes(tickets)
}

// unpackLanes sets the lanes of tickets.
func (p packed) unpackLanes(tickets []attune.Ticket) error {
	if p.Lanes == "" {
		return nil
	}
	buf, err := base64.RawStdEncoding.DecodeString(p.Lanes)
	if err != nil {
		return fmt.Errorf("%w: lanes: %w", errDamaged, err)
	}
	for i := range tickets {
		lane, n := binary.Uvarint(buf)
		if n <= 0 || lane > math.MaxInt32 {
			return fmt.Errorf("%w: lane of sequence %d", errDamaged, tickets[i].Sequence)
		}
		tickets[i].Lane, buf = int32(lane), buf[n:]
	}
	if len(buf) > 0 {
		return fmt.Errorf("%w: lanes: %d bytes too many", errDamaged, len(buf))
	}
	return nil
}
