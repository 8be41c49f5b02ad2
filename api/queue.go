package api

import (
	"context"
	"fmt"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// Queue is one queue in detail. All of it is of one instant, and its counts are those of queue-stats.
type Queue struct {
	attune.QueueStats

	At         time.Time     `json:"at" doc:"The instant, by the database's clock"`
	Limit      QueueLimit    `json:"limit"`
	Policy     QueuePolicy   `json:"policy"`
	Holders    []QueueHolder `json:"holders" doc:"Who holds a slot, in the order of the grants; up to 500"`
	Waiting    []QueueWaiter `json:"waiting" doc:"The first in line; queue_length says how many wait in all"`
	Parked     int64         `json:"parked_count" doc:"How many wait for a person, and neither hold a slot nor stand in line"`
	OldestWait float64       `json:"oldest_wait_seconds" doc:"How long the first in line has waited; 0 while nobody waits"`
	Throughput Throughput    `json:"throughput"`
	HoldTime   *HoldTime     `json:"hold_time,omitempty" doc:"Absent before the first slot was given back"`
	EmptyIn    *Estimate     `json:"empty_in,omitempty" doc:"Until nobody waits, if nobody else comes; absent when too little is known"`
}

// QueueLimit is the limit in force, and where it comes from.
type QueueLimit struct {
	InForce int        `json:"in_force"`
	From    string     `json:"from" doc:"by hand, or what the policy has it from: action <ref>, pack <name>, global or default"`
	Until   *time.Time `json:"until,omitempty" doc:"When a limit by hand ends; absent: when somebody clears it"`
}

// QueueHolder is an enforcement that holds a slot.
type QueueHolder struct {
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Sequence    int64                  `json:"sequence"`
	GrantNumber int64                  `json:"grant_number"`
	Execution   attune.ExecutionID     `json:"execution_id,omitempty"`
	Attempt     int                    `json:"attempt,omitempty"`
	Status      attune.ExecutionStatus `json:"status,omitempty"`
	Worker      string                 `json:"worker,omitempty" doc:"Absent before one has claimed it"`
	GrantedAt   time.Time              `json:"granted_at" doc:"The queue's clock"`
	Age         float64                `json:"age_seconds" doc:"How long it has held the slot, over all attempts"`
	DueAt       *time.Time             `json:"due_at,omitempty" doc:"When its worker ends it at the latest"`
	LeaseUntil  *time.Time             `json:"lease_until,omitempty" doc:"When it is given up, unless its worker renews it"`
	RetryAt     *time.Time             `json:"retry_at,omitempty" doc:"When its next attempt may start, while it keeps its slot for that"`
	Expect      string                 `json:"expect" doc:"What happens next, in a sentence"`
}

// QueueWaiter is an enforcement that waits in line.
type QueueWaiter struct {
	Position    int64                `json:"position" doc:"1 is next"`
	Enforcement attune.EnforcementID `json:"enforcement_id"`
	Sequence    int64                `json:"sequence"`
	Attempt     int                  `json:"attempt" doc:"The one that it waits for, from 1"`
	QueuedAt    time.Time            `json:"queued_at"`
	Wait        float64              `json:"wait_seconds"`
}

// Throughput is how many slots were given back per minute, over three spans that end now.
type Throughput struct {
	Minute float64 `json:"per_minute_1m"`
	Five   float64 `json:"per_minute_5m"`
	Hour   float64 `json:"per_minute_60m"`
}

// HoldTime is how long slots were held.
type HoldTime struct {
	P50    float64   `json:"p50_seconds"`
	P95    float64   `json:"p95_seconds"`
	Grants int64     `json:"grants" doc:"How many this is taken from: the latest, up to 1000"`
	Since  time.Time `json:"since" doc:"When the first of them was given back"`
}

// QueueDetails looks at queues in detail.
type QueueDetails interface {
	// Detail reads one queue, with at most first of its waiting tickets. It also returns the effective policy and the scope
	// that decides each field: the queue itself may not have been told yet. An action's queue can be read before its first
	// use; any other queue is an [attune.CodeNotFound] error.
	Detail(ctx context.Context, key attune.QueueKey, first int) (attune.QueueDetail, policy.Effective, error)
}

type queueDetailInput struct {
	Key     string `path:"key" doc:"The queue's key; the default queue of an action has the action's reference as its key"`
	Waiting int    `query:"waiting" minimum:"0" maximum:"500" default:"20" doc:"How many of those who wait to show"`
}

func (s *Server) getQueue(ctx context.Context, in *queueDetailInput) (*answer[Queue], error) {
	key := attune.QueueKey(in.Key)
	if key.Validate() != nil {
		return nil, attune.Errorf(attune.CodeNotFound, "there is no such queue")
	}
	detail, said, err := s.deps.Queues.Detail(ctx, key, in.Waiting)
	if err != nil {
		return nil, err
	}
	return &answer[Queue]{Body: showQueue(detail, said)}, nil
}

func showQueue(s attune.QueueDetail, said policy.Effective) Queue {
	q := Queue{
		QueueStats: s.Stats, At: s.At, Parked: s.Parked, Policy: showPolicy(s.Policy, said),
		Holders: make([]QueueHolder, len(s.Holders)), Waiting: make([]QueueWaiter, len(s.Waiting)),
		Throughput: Throughput{
			Minute: float64(s.Released.LastMinute), Five: float64(s.Released.LastFiveMinutes) / 5, Hour: float64(s.Released.LastHour) / 60,
		},
	}
	q.Limit = QueueLimit{InForce: s.Stats.MaxConcurrent, From: q.Policy.from("limit")}
	if s.Override != nil {
		q.Limit.From = "by hand"
		if !s.Override.Until.IsZero() {
			q.Limit.Until = &s.Override.Until
		}
	}
	for i, holder := range s.Holders {
		q.Holders[i] = showHolder(holder, s.At)
	}
	for i, waiter := range s.Waiting {
		q.Waiting[i] = QueueWaiter{
			Position: int64(i + 1), Enforcement: waiter.Enforcement, Sequence: waiter.Sequence, Attempt: waiter.Attempt,
			QueuedAt: waiter.QueuedAt, Wait: secondsSince(waiter.QueuedAt, s.At),
		}
	}
	if s.Stats.OldestEnqueuedAt != nil {
		q.OldestWait = secondsSince(*s.Stats.OldestEnqueuedAt, s.At)
	}
	if r := s.Released; r.Since != nil {
		q.HoldTime = &HoldTime{P50: r.P50.Seconds(), P95: r.P95.Seconds(), Grants: r.Sample, Since: *r.Since}
	}
	q.EmptyIn = estimate(s.Stats.QueueLength, s.Stats, s.Latest)
	return q
}

func showHolder(h attune.SlotHolder, at time.Time) QueueHolder {
	shown := QueueHolder{
		Enforcement: h.Enforcement, Sequence: h.Sequence, GrantNumber: h.GrantNumber, Execution: h.Execution,
		Attempt: h.Attempt, Status: h.Status, Worker: h.Worker, GrantedAt: h.GrantedAt, Age: secondsSince(h.HeldSince, at),
		LeaseUntil: h.LeaseUntil, RetryAt: h.RetryAt,
	}
	if h.Status == attune.ExecutionRunning && h.StartedAt != nil {
		shown.DueAt = new(h.StartedAt.Add(time.Duration(h.Timeout)))
	}
	shown.Expect = expect(h, shown.DueAt, at)
	return shown
}

// expect says what happens next to a slot.
func expect(h attune.SlotHolder, due *time.Time, at time.Time) string {
	switch {
	case h.Execution == 0 || h.Status.Terminal():
		return "Nothing will give this slot back: it is leaked. See attune doctor."
	case h.Status == attune.ExecutionRetrying && h.RetryAt != nil:
		return fmt.Sprintf("Attempt %d %s; it keeps its slot until attempt %d at %s.",
			h.Attempt, howEnded(h.AttemptStatus), h.Attempt+1, clock(*h.RetryAt))
	case due == nil:
		return fmt.Sprintf("It waits for a worker of the pool %q.", h.Pool)
	case h.LeaseUntil != nil && at.After(*h.LeaseUntil):
		return fmt.Sprintf("Its worker has not renewed its lease, which ended at %s: it is given up.", clock(*h.LeaseUntil))
	case h.CancelRequested != nil:
		return fmt.Sprintf("Its worker was asked to stop at %s. %s", clock(*h.CancelRequested), unheard(h))
	case at.After(*due):
		return fmt.Sprintf("Its worker had to end it by %s and has reported nothing: look at the worker. %s", clock(*due), unheard(h))
	default:
		return fmt.Sprintf("Its worker ends it by %s at the latest. %s", clock(*due), unheard(h))
	}
}

// unheard says what happens to a slot if nothing is heard from its worker.
func unheard(h attune.SlotHolder) string {
	if h.LeaseUntil == nil {
		return ""
	}
	return fmt.Sprintf("Should nothing be heard from it, it is given up at %s.", clock(*h.LeaseUntil))
}

// howEnded is how an attempt has ended, in a sentence.
func howEnded(status attune.ExecutionStatus) string {
	switch status {
	case attune.ExecutionTimedOut:
		return "timed out"
	case attune.ExecutionAbandoned:
		return "lost its worker"
	default:
		return "failed"
	}
}

func secondsSince(then, at time.Time) float64 {
	return max(0, at.Sub(then)).Round(time.Millisecond).Seconds()
}

// clock is a time in a sentence.
func clock(t time.Time) string { return t.UTC().Format(time.RFC3339) }
