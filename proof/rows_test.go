package proof_test

import (
	"fmt"
	"slices"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
)

const key attune.QueueKey = "shop.deploy"

// rows are the stored rows of one queue.
type rows struct {
	proof.Rows
}

// count sets the counts from the enforcements and the log.
func (r *rows) count() {
	stats := attune.QueueStats{Queue: key, Mode: r.Stats.Mode, MaxConcurrent: r.Stats.MaxConcurrent}
	for _, e := range r.Enforcements {
		stats.TotalEnqueued++
		switch e.Status {
		case attune.EnforcementQueued:
			stats.QueueLength++
		case attune.EnforcementGranted:
			stats.ActiveCount++
		case attune.EnforcementExecuted, attune.EnforcementParked:
			stats.TotalCompleted++
		default:
			stats.TotalDropped++
		}
	}
	for _, grant := range r.Grants {
		if e := r.byID(grant.Enforcement); e != nil && grant.Sequence < e.Sequence {
			stats.TotalEnqueued++
			stats.TotalCompleted++
		}
	}
	r.Stats = stats
}

func (r *rows) byID(id attune.EnforcementID) *attune.Enforcement {
	i := slices.IndexFunc(r.Enforcements, func(e attune.Enforcement) bool { return e.ID == id })
	if i < 0 {
		return nil
	}
	return &r.Enforcements[i]
}

// enforcement returns the enforcement that has the sequence now.
func (r *rows) enforcement(sequence int64) *attune.Enforcement {
	i := slices.IndexFunc(r.Enforcements, func(e attune.Enforcement) bool { return e.Sequence == sequence })
	return &r.Enforcements[i]
}

// grantOf returns the grant of an enforcement's current place.
func (r *rows) grantOf(e *attune.Enforcement) *attune.LoggedGrant {
	i := slices.IndexFunc(r.Grants, func(g attune.LoggedGrant) bool { return g.Enforcement == e.ID && g.Sequence == e.Sequence })
	return &r.Grants[i]
}

func (r *rows) outcome(id attune.EnforcementID, status attune.ExecutionStatus) {
	for i := range r.Grants {
		if r.Grants[i].Enforcement == id {
			r.Grants[i].Outcome = status
		}
	}
}

func (r *rows) String() string {
	text := fmt.Sprintf("stats %+v\n", r.Stats)
	for _, e := range r.Enforcements {
		text += fmt.Sprintf("enforcement %d sequence %d %s grant %d\n", e.ID, e.Sequence, e.Status, e.GrantNumber)
	}
	for _, g := range r.Grants {
		text += fmt.Sprintf("grant %d generation %d enforcement %d sequence %d attempt %d limit %d decided %s held %s–%v %s\n", g.Number,
			g.Generation, g.Enforcement, g.Sequence, g.Attempt, g.Limit, g.GrantedAt, g.RequestedAt, g.ReleasedAt, g.Outcome)
	}
	for _, c := range r.Changes {
		text += fmt.Sprintf("change %d at %s: %s %q → %q enforcement %d\n", c.Number, c.At, c.Kind, c.From, c.To, c.Enforcement)
	}
	return text
}
