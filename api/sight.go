package api

import (
	"context"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
)

// QueueSights looks at queues in detail.
type QueueSights interface {
	// Sight looks at one queue, and at the first so many of those who wait. A queue that nobody has used or set is an
	// [attune.CodeNotFound] error.
	Sight(ctx context.Context, key attune.QueueKey, first int) (Sight, error)
}

// Sight is one queue as its rows tell it. All of it is of one instant.
type Sight struct {
	At       time.Time // when, by the database's clock
	Stats    attune.QueueStats
	Override *attune.LimitOverride // the limit set by hand, while it is in force
	Policy   attune.QueuePolicy    // in force, as the queue was last told
	Said     policy.Effective      // what the scopes say now, and which of them says it
	Holders  []Holder              // in the order of their grants; with very many the first
	Waiting  []Waiter              // the first in line
	Parked   int64                 // those that wait for a person, and neither hold a slot nor stand in line
	Latest   []attune.LoggedGrant  // the latest grants: enough for an estimate
	Finished Finished
}

// Holder is an enforcement that holds a slot, and the execution that it holds it for.
type Holder struct {
	Enforcement     attune.EnforcementID
	Sequence        int64
	GrantNumber     int64
	GrantedAt       time.Time // the queue's clock; all others are the database's
	HeldSince       time.Time
	Execution       attune.ExecutionID // 0: there is none, which is a leak
	Attempt         int
	Status          attune.ExecutionStatus
	Worker          string // empty before one has claimed it
	Pool            string
	RequestedAt     *time.Time // of the attempt
	StartedAt       *time.Time
	Timeout         attune.Duration // of the attempt, from StartedAt
	CancelRequested *time.Time
	AttemptStatus   attune.ExecutionStatus // how the attempt has ended, while it is retrying
	RetryAt         *time.Time             // when the next one may start, while it is retrying
}

// Waiter is a place in line.
type Waiter struct {
	Enforcement attune.EnforcementID
	Sequence    int64
	QueuedAt    time.Time
	Attempt     int // the one that it waits for, from 1
}

// Finished is what the log of grants says about slots that were given back.
type Finished struct {
	LastMinute, LastFiveMinutes, LastHour int64 // given back in that time
	// P50 and P95 are how long the latest slots were held: Sample of them, given back since Since.
	P50, P95 time.Duration
	Sample   int64
	Since    *time.Time // nil without a sample
}
