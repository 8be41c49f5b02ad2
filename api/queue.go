package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/policy"
)

// Queue is one queue in detail. All values are of one instant. The counts are the same as those of queue-stats.
type Queue struct {
	attune.QueueStats

	At         time.Time     `json:"at" doc:"The instant of all values, by the database's clock"`
	Limit      QueueLimit    `json:"limit"`
	Policy     QueuePolicy   `json:"policy"`
	Actions    []QueueAction `json:"actions,omitempty" doc:"The actions that use a shared queue; absent for the queue of one action"`
	Holders    []QueueHolder `json:"holders" doc:"Enforcements that hold a slot, in the order of their grants; up to 500"`
	Waiting    []QueueWaiter `json:"waiting" doc:"The first enforcements in line; queue_length counts all that wait"`
	Parked     int64         `json:"parked_count" doc:"How many enforcements wait for a person; they hold no slot and are not in line"`
	OldestWait float64       `json:"oldest_wait_seconds" doc:"How long the first in line has waited; 0 while the line is empty"`
	Throughput Throughput    `json:"throughput"`
	HoldTime   *HoldTime     `json:"hold_time,omitempty" doc:"How long slots were held; absent until the first slot is given back"`
	EmptyIn    *Estimate     `json:"empty_in,omitempty" doc:"Estimated time until the line is empty, without new arrivals"`
}

// QueueLimit is the limit in force and its origin.
type QueueLimit struct {
	InForce int        `json:"in_force"`
	From    string     `json:"from" doc:"by hand (a manual override), action <ref>, queue <key>, pack <name> or default"`
	Until   *time.Time `json:"until,omitempty" doc:"When a manual override ends; absent when the override stays until it is cleared"`
}

// QueueHolder is an enforcement that holds a slot.
type QueueHolder struct {
	Enforcement attune.EnforcementID   `json:"enforcement_id"`
	Action      attune.Ref             `json:"action_ref,omitempty"`
	Key         *string                `json:"key,omitempty" doc:"Text of the key's value, which chose the lane; absent without lanes"`
	Lane        int32                  `json:"lane,omitempty" doc:"Number of the lane; absent without lanes"`
	Sequence    int64                  `json:"sequence"`
	GrantNumber int64                  `json:"grant_number"`
	Execution   attune.ExecutionID     `json:"execution_id,omitempty"`
	Attempt     int                    `json:"attempt,omitempty"`
	Status      attune.ExecutionStatus `json:"status,omitempty"`
	Worker      string                 `json:"worker,omitempty" doc:"Worker that runs the attempt; absent until a worker has claimed it"`
	GrantedAt   time.Time              `json:"granted_at" doc:"When the queue decided the grant, by the queue's clock"`
	Age         float64                `json:"age_seconds" doc:"How long the enforcement has held the slot, over all attempts"`
	DueAt       *time.Time             `json:"due_at,omitempty" doc:"When the timeout of the attempt ends"`
	LeaseUntil  *time.Time             `json:"lease_until,omitempty" doc:"When the attempt is given up, unless the worker renews the lease"`
	RetryAt     *time.Time             `json:"retry_at,omitempty" doc:"Earliest start of the next attempt, while it keeps its slot"`
	Expect      string                 `json:"expect" doc:"What happens to the slot next, for a person"`
}

// QueueWaiter is an enforcement that waits in line.
type QueueWaiter struct {
	Position    int64                `json:"position" doc:"1 is next"`
	Enforcement attune.EnforcementID `json:"enforcement_id"`
	Action      attune.Ref           `json:"action_ref,omitempty"`
	Key         *string              `json:"key,omitempty" doc:"Text of the key's value, which chose the lane; absent without lanes"`
	Lane        int32                `json:"lane,omitempty" doc:"Number of the lane; absent without lanes"`
	Sequence    int64                `json:"sequence"`
	Attempt     int                  `json:"attempt" doc:"Number of the attempt that it waits for, from 1"`
	QueuedAt    time.Time            `json:"queued_at"`
	Wait        float64              `json:"wait_seconds"`
}

// Throughput is how many slots were given back per minute, in the last 1, 5 and 60 minutes.
type Throughput struct {
	Minute float64 `json:"per_minute_1m"`
	Five   float64 `json:"per_minute_5m"`
	Hour   float64 `json:"per_minute_60m"`
}

// HoldTime is how long slots were held, as quantiles in seconds.
type HoldTime struct {
	P50    float64   `json:"p50_seconds"`
	P95    float64   `json:"p95_seconds"`
	Grants int64     `json:"grants" doc:"Number of slots in the sample: the latest given back, up to 1000"`
	Since  time.Time `json:"since" doc:"When the first slot of the sample was given back"`
}

// QueueDetails reads queues in detail.
type QueueDetails interface {
	// Detail reads one queue, with at most waiting of its waiting tickets. It also returns the effective policy and the scope
	// that decides each field; the queue uses that policy from the next admitted enforcement on. An action's queue can be
	// read before its first use; any other queue is an [attune.CodeNotFound] error.
	Detail(ctx context.Context, key attune.QueueKey, waiting int) (attune.QueueDetail, policy.Effective, error)
	WaitReader
}

type queueDetailInput struct {
	Key     string `path:"key" doc:"The queue's key: the reference of the action that owns it, or of a shared queue"`
	Waiting int    `query:"waiting" minimum:"0" maximum:"500" default:"20" doc:"How many waiting enforcements to show"`
}

func (s *Server) registerQueue() {
	register(s, auth.RightRead, huma.Operation{
		OperationID: "get-queue", Method: http.MethodGet, Path: "/queues/{key}", Tags: []string{"queues"},
		Summary: "Read one queue: counts, limit, policy, holders, the first in line, and throughput",
		Errors:  []int{http.StatusNotFound},
	}, s.getQueue)
}

// queueKey returns the key of a path. A text that cannot be a key is [attune.CodeNotFound].
func queueKey(path string) (attune.QueueKey, error) {
	key := attune.QueueKey(path)
	if key.Validate() != nil {
		return "", attune.Errorf(attune.CodeNotFound, "there is no such queue")
	}
	return key, nil
}

func (s *Server) getQueue(ctx context.Context, in *queueDetailInput) (*response[Queue], error) {
	key, err := queueKey(in.Key)
	if err != nil {
		return nil, err
	}
	detail, effective, err := s.deps.Queues.Detail(ctx, key, in.Waiting)
	if err != nil {
		return nil, err
	}
	return &response[Queue]{Body: showQueue(detail, effective)}, nil
}

func showQueue(s attune.QueueDetail, effective policy.Effective) Queue {
	q := Queue{
		QueueStats: s.Stats, At: s.At, Parked: s.Parked, Policy: showPolicy(s.Stats, s.Policy, effective),
		Actions: showActions(s),
		Holders: make([]QueueHolder, len(s.Holders)), Waiting: make([]QueueWaiter, len(s.Waiting)),
		Throughput: Throughput{
			Minute: float64(s.Released.LastMinute), Five: float64(s.Released.LastFiveMinutes) / 5, Hour: float64(s.Released.LastHour) / 60,
		},
	}
	q.Limit = QueueLimit{InForce: s.Stats.MaxConcurrent, From: q.Policy.origin("limit")}
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
			Position: int64(i + 1), Enforcement: waiter.Enforcement, Action: waiter.Action,
			Key: keyText(waiter.LaneName), Lane: waiter.Lane,
			Sequence: waiter.Sequence, Attempt: waiter.Attempt, QueuedAt: waiter.QueuedAt, Wait: secondsSince(waiter.QueuedAt, s.At),
		}
	}
	if s.Stats.OldestEnqueuedAt != nil {
		q.OldestWait = secondsSince(*s.Stats.OldestEnqueuedAt, s.At)
	}
	if r := s.Released; r.Since != nil {
		q.HoldTime = &HoldTime{P50: r.P50.Seconds(), P95: r.P95.Seconds(), Grants: r.Sample, Since: *r.Since}
	}
	q.EmptyIn = emptyIn(s)
	return q
}

func showHolder(h attune.SlotHolder, at time.Time) QueueHolder {
	shown := QueueHolder{
		Enforcement: h.Enforcement, Action: h.Action, Key: keyText(h.LaneName), Lane: h.Lane,
		Sequence: h.Sequence, GrantNumber: h.GrantNumber,
		Execution: h.Execution, Attempt: h.Attempt, Status: h.Status, Worker: h.Worker, GrantedAt: h.GrantedAt,
		Age: secondsSince(h.HeldSince, at), LeaseUntil: h.LeaseUntil, RetryAt: h.RetryAt,
	}
	if h.Status == attune.ExecutionRunning && h.StartedAt != nil {
		shown.DueAt = new(h.StartedAt.Add(time.Duration(h.Timeout)))
	}
	shown.Expect = expectation(h, shown.DueAt, at)
	return shown
}

// expectation says what happens next to a slot. due is the end of the attempt's timeout; nil while no attempt runs.
func expectation(h attune.SlotHolder, due *time.Time, at time.Time) string {
	switch {
	case h.Execution == 0 || h.Status.Terminal():
		return "No execution will give this slot back: it is leaked. Run attune doctor."
	case h.Status == attune.ExecutionRetrying && h.RetryAt != nil:
		return fmt.Sprintf("Attempt %d %s. The slot is kept for attempt %d, which starts at %s or later.",
			h.Attempt, howEnded(h.AttemptStatus), h.Attempt+1, attune.FormatTime(*h.RetryAt))
	case due == nil:
		return fmt.Sprintf("It waits for a worker of the pool %q.", h.Pool)
	case h.LeaseUntil != nil && at.After(*h.LeaseUntil):
		return fmt.Sprintf("The worker did not renew the lease, which ended at %s: the attempt is given up.",
			attune.FormatTime(*h.LeaseUntil))
	case h.CancelRequested != nil:
		return fmt.Sprintf("The worker was asked to stop it at %s. %s", attune.FormatTime(*h.CancelRequested), leaseNotice(h))
	case at.After(*due):
		return fmt.Sprintf("The timeout ended at %s without a report: check the worker. %s", attune.FormatTime(*due), leaseNotice(h))
	default:
		return fmt.Sprintf("The worker ends it at %s at the latest. %s", attune.FormatTime(*due), leaseNotice(h))
	}
}

// leaseNotice says when the attempt is given up without a renewal of its lease; empty without a lease.
func leaseNotice(h attune.SlotHolder) string {
	if h.LeaseUntil == nil {
		return ""
	}
	return fmt.Sprintf("Without a renewal of the lease, the attempt is given up at %s.", attune.FormatTime(*h.LeaseUntil))
}

// howEnded is how an attempt ended, as the verb of a sentence about the attempt.
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
