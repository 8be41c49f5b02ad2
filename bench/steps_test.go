package bench_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// moment is a point in time of a hand-over. The moments up to the release belong to the enforcement that frees its slot;
// the moments from the grant on belong to the enforcement that gets the slot.
type moment int

const (
	processEnds moment = iota
	reportConsumed
	rowFinished
	releaseAccepted
	grantDecided
	requestBegins
	rowRequested
	claimSent
	claimGranted
	processStarts
	momentsOfHandOver
)

// step names the step that ends at the moment, and the clock that measured it. All clocks run on one machine.
func (m moment) step() (name, clock string) {
	steps := [momentsOfHandOver][2]string{
		reportConsumed:  {"report consumed by the bridge", "attune"},
		rowFinished:     {"execution row finished", "PostgreSQL"},
		releaseAccepted: {"release accepted by the queue", "Temporal"},
		grantDecided:    {"grant decided in a turn of the queue", "Temporal"},
		requestBegins:   {"EnforcementWorkflow begins", "Temporal"},
		rowRequested:    {"execution row of the next enforcement", "PostgreSQL"},
		claimSent:       {"worker sends the claim", "attune"},
		claimGranted:    {"claim granted", "PostgreSQL"},
		processStarts:   {"process starts", "attune"},
	}
	return steps[m][0], steps[m][1]
}

// handOver is the time of a slot from the end of one process to the start of the next.
type handOver [momentsOfHandOver]time.Time

func (h handOver) whole() time.Duration { return h[processStarts].Sub(h[processEnds]) }

// took is the duration of the step that ends at m.
func (h handOver) took(m moment) time.Duration { return h[m].Sub(h[m-1]) }

// complete reports whether every moment is known.
func (h handOver) complete() bool { return !slices.ContainsFunc(h[:], time.Time.IsZero) }

// facts is the data about the enforcements of one round of a queue.
type facts struct {
	limit      int
	log        *journal
	grants     []attune.LoggedGrant
	releases   []release // in the order in which the queue applies them
	begins     map[attune.EnforcementID]time.Time
	executions map[attune.EnforcementID]attune.Execution
}

// handOvers returns the hand-overs of the round with all moments, and the number of all hand-overs.
//
// A queue grants while it has a free slot. So the first grants of an idle queue use up the limit, and each later grant
// takes the slot of the next release. It is a hand-over if its ticket already waited when the slot became free.
func (f facts) handOvers() (known []handOver, all int) {
	grants := slices.SortedFunc(slices.Values(f.grants), func(a, b attune.LoggedGrant) int { return cmp.Compare(a.Number, b.Number) })
	for i, release := range f.releases {
		if i+f.limit >= len(grants) {
			break
		}
		grant := grants[i+f.limit]
		if !grant.EnqueuedAt.Before(release.at) {
			continue
		}
		all++
		if h := f.between(release, grant); h.complete() {
			known = append(known, h)
		}
	}
	return known, all
}

func (f facts) between(release release, grant attune.LoggedGrant) handOver {
	before, after := f.executions[release.enforcement], f.executions[grant.Enforcement]
	ended, started := f.log.of(before.ID), f.log.of(after.ID)
	return handOver{
		processEnds:     ended.ends,
		reportConsumed:  ended.consumed,
		rowFinished:     timeOf(before.FinishedAt),
		releaseAccepted: release.at,
		grantDecided:    grant.GrantedAt,
		requestBegins:   f.begins[grant.Enforcement],
		rowRequested:    after.RequestedAt,
		claimSent:       started.claimSent,
		claimGranted:    timeOf(after.StartedAt),
		processStarts:   started.starts,
	}
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

func TestHandOvers(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(1_900_000_000_000 + int64(ms)) }
	grant := func(number int64, queued, granted int) attune.LoggedGrant {
		return attune.LoggedGrant{Grant: attune.Grant{
			Ticket: attune.Ticket{Enforcement: attune.EnforcementID(number), EnqueuedAt: at(queued)}, Number: number, GrantedAt: at(granted),
		}}
	}
	// Enforcement n has execution 10 + n. Its grant is decided 9 ms before its process starts at 100 n ms, and its process
	// ends 10 ms after that. The log of the last enforcement has a gap.
	setup := func(limit int) facts {
		f := facts{
			limit: limit, log: newJournal(), begins: map[attune.EnforcementID]time.Time{},
			executions: map[attune.EnforcementID]attune.Execution{},
			grants:     []attune.LoggedGrant{grant(4, 210, 391), grant(1, 0, 91), grant(3, 0, 291), grant(2, 0, 191)},
			releases:   []release{{1, at(113)}, {2, at(213)}, {3, at(313)}, {4, at(413)}},
		}
		for n := range 4 {
			id, start := attune.EnforcementID(n+1), 100*(n+1)
			x := attune.Execution{ID: attune.ExecutionID(10 + id), Enforcement: id, RequestedAt: at(start - 6)}
			x.StartedAt, x.FinishedAt = new(at(start-2)), new(at(start+12))
			f.executions[id], f.begins[id] = x, at(start-7)
			f.log.moments[x.ID] = moments{claimSent: at(start - 4), starts: at(start), ends: at(start + 10), consumed: at(start + 11)}
		}
		f.log.moments[14] = moments{starts: at(400)}
		return f
	}

	t.Run("each grant beyond the limit takes the slot of the next release", func(t *testing.T) {
		t.Parallel()
		known, all := setup(1).handOvers()
		require.Equal(t, 3, all)
		require.Len(t, known, 2, "the last hand-over lacks a moment")
		for i, h := range known {
			var steps []int
			for m := processEnds + 1; m < momentsOfHandOver; m++ {
				steps = append(steps, int(h.took(m).Milliseconds()))
			}
			require.Equal(t, []int{1, 1, 1, 78, 2, 1, 2, 2, 2}, steps, i)
			require.Equal(t, 90*time.Millisecond, h.whole())
		}
	})

	t.Run("a ticket that arrives after its slot is free is no hand-over", func(t *testing.T) {
		t.Parallel()
		known, all := setup(3).handOvers()
		require.Zero(t, all)
		require.Empty(t, known)
	})

	t.Run("a queue that never reaches its limit has no hand-over", func(t *testing.T) {
		t.Parallel()
		_, all := setup(10).handOvers()
		require.Zero(t, all)
	})
}
