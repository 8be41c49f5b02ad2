package semaphore_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// TestState_LostTurns loses decisions of a queue again and again, after what was delivered at once has been acted upon. The queue then
// decides anew from the same signals: later, after further signals, when a rate has opened, a limit was raised, or the first ticket was
// cancelled. The rows, which are never lost, must not be above a limit or a rate.
//
// Short: 200 walks. Long: 50 000.
func TestState_LostTurns(t *testing.T) {
	t.Parallel()
	walks := 200
	if os.Getenv("ATTUNE_TEST_SOAK") != "" {
		walks = 50_000
	}
	lost := 0
	for seed := range walks {
		w := newLostWorld(uint64(seed))
		w.walk(func() bool { return w.state.DecidesAlike() })
		require.Empty(t, w.broken, "walk %d: %+v", seed, w.state.Policy())
		lost += w.lost
	}
	require.Greater(t, lost, 5*walks)
}

// TestState_LostTurnsDeliveredAtOnce shows that the walks of TestState_LostTurns find a queue that delivers too early.
func TestState_LostTurnsDeliveredAtOnce(t *testing.T) {
	t.Parallel()
	broken := map[string]int{}
	for seed := range 150 {
		w := newLostWorld(uint64(seed))
		w.walk(func() bool { return true })
		policy := w.state.Policy()
		rates := len(policy.Rates) > 0 || len(policy.Actions[0].Rates) > 0
		if len(w.broken) > 0 {
			broken[fmt.Sprintf("%s, rates: %t", policy.Across, rates)]++
		}
	}
	require.Zero(t, broken["strict, rates: false"])
	require.Positive(t, broken["skip, rates: false"])
	require.Positive(t, broken["skip, rates: true"])
	require.Positive(t, broken["strict, rates: true"])
}

// lostWorld is a queue, its workflow's durable state and its rows.
type lostWorld struct {
	*rand.Rand
	now     time.Time
	state   *semaphore.State                    // as of the last durable decision
	signals []func(*semaphore.State, time.Time) // received, and not part of a durable decision
	rows    map[int64]*lostRow                  // by sequence
	last    int64                               // the last sequence
	lost    int                                 // how many turns were lost
	broken  []string                            // what was found
	changes int                                 // numbers the requests of cancels
}

type lostRow struct {
	attune.Ticket
	status attune.EnforcementStatus
	grant  attune.Grant
}

func newLostWorld(seed uint64) *lostWorld {
	w := &lostWorld{Rand: rand.New(rand.NewPCG(seed, 1)), now: start, rows: map[int64]*lostRow{}}
	policy := attune.QueuePolicy{Revision: 1, Limit: 1 + w.IntN(3), MaxQueued: 100, Across: attune.AcrossStrict}
	if w.IntN(3) > 0 {
		policy.Across = attune.AcrossSkip
	}
	if w.IntN(4) == 0 {
		policy.QueueTimeout = attune.Duration(time.Duration(1+w.IntN(5)) * time.Second)
	}
	rates := func() []attune.StartRate {
		if w.IntN(3) > 0 {
			return nil
		}
		return []attune.StartRate{{Name: "starts", Limit: 1 + w.IntN(2), Window: attune.Duration(time.Duration(1+w.IntN(4)) * time.Second)}}
	}
	policy.Rates = rates()
	for action := attune.ActionID(1); action <= 2; action++ {
		policy.Actions = append(policy.Actions, attune.ActionPolicy{
			Action: action, Limit: new(1 + w.IntN(2)), LimitPerKey: new(1 + w.IntN(2)), Rates: rates(),
		})
	}
	w.state = semaphore.New(attune.QueueSnapshot{Policy: policy})
	w.state.SetInspectAfter(3 * time.Second)
	return w
}

// walk takes random steps. atOnce decides about the state of a turn whether its grants are delivered before the decision is durable.
func (w *lostWorld) walk(atOnce func() bool) {
	for range 60 {
		switch w.IntN(6) {
		case 0, 1:
			w.arrive(1 + w.IntN(3))
		case 2:
			w.end()
		case 3:
			w.now = w.now.Add(time.Duration(1+w.IntN(2000)) * time.Millisecond)
		case 4:
			w.raise()
		case 5:
			w.cancelFirst()
		}
		w.turn(atOnce, w.IntN(2) == 0)
	}
}

// signal sends the queue something that the next durable decision contains.
func (w *lostWorld) signal(apply func(*semaphore.State, time.Time)) {
	w.signals = append(w.signals, apply)
}

func (w *lostWorld) arrive(n int) {
	var tickets []attune.Ticket
	for range n {
		w.last++
		ticket := attune.Ticket{
			Enforcement: attune.EnforcementID(100 + w.last), Sequence: w.last, EnqueuedAt: w.now, Attempt: 1,
			Action: attune.ActionID(1 + w.IntN(2)), Lane: int32(1 + w.IntN(3)),
		}
		w.rows[w.last] = &lostRow{Ticket: ticket, status: attune.EnforcementQueued}
		tickets = append(tickets, ticket)
	}
	w.signal(func(s *semaphore.State, now time.Time) { s.Acquire(now, tickets) })
}

// with returns the rows with a status, in the order of their sequences.
func (w *lostWorld) with(status attune.EnforcementStatus) (rows []*lostRow) {
	for sequence := int64(1); sequence <= w.last; sequence++ {
		if row := w.rows[sequence]; row.status == status {
			rows = append(rows, row)
		}
	}
	return rows
}

// end ends the execution of one running row.
func (w *lostWorld) end() {
	running := w.with(attune.EnforcementGranted)
	if len(running) == 0 {
		return
	}
	row := running[w.IntN(len(running))]
	row.status = attune.EnforcementExecuted
	w.signal(func(s *semaphore.State, now time.Time) { s.Release(now, []attune.Ticket{row.Ticket}) })
}

// raise raises one limit. No limit is ever lowered, so a grant that is delivered late is not above a limit.
func (w *lostWorld) raise() {
	level, by := w.IntN(5), w.IntN(2)
	w.signal(func(s *semaphore.State, now time.Time) {
		policy := s.Policy()
		policy.Revision++
		policy.Actions = slices.Clone(policy.Actions)
		switch level {
		case 0:
			policy.Limit = min(policy.Limit+by, 4)
		case 1, 2:
			policy.Actions[level-1].Limit = new(min(*policy.Actions[level-1].Limit+by, 3))
		default:
			policy.Actions[level-3].LimitPerKey = new(min(*policy.Actions[level-3].LimitPerKey+by, 3))
		}
		s.SetPolicy(now, policy)
	})
}

func (w *lostWorld) cancelFirst() {
	waiting := w.with(attune.EnforcementQueued)
	if len(waiting) == 0 {
		return
	}
	w.changes++
	request := attune.ChangeRequest{
		ID: fmt.Sprint("cancel-", w.changes), Author: person, Kind: attune.ChangeCancel, Ticket: waiting[0].Ticket,
	}
	w.signal(func(s *semaphore.State, now time.Time) { _, _ = s.Change(now, request) })
}

// turn decides, and delivers and records what may be delivered and recorded before the decision is durable. Then the decision is lost
// or durable.
func (w *lostWorld) turn(atOnce func() bool, lose bool) {
	durable, signals := w.state, w.signals
	w.state = carriedOver(noTest{}, durable)
	for _, apply := range signals {
		apply(w.state, w.now)
	}
	w.state.Advance(w.now)
	settlements, grants := w.state.UnrecordedSettlements(100), w.state.Deliverable(100)
	early := atOnce()
	changed := len(w.state.UnrecordedChanges(100, len(settlements)).Changes)
	if early {
		w.deliver(grants)
	}
	var held []attune.Grant
	if changed == 0 {
		held = w.record(settlements)
	}
	if lose {
		w.state, w.lost = durable, w.lost+1
		return
	}
	w.signals = nil
	if changed > 0 {
		held = w.record(settlements)
	}
	if !early {
		w.deliver(grants)
	}
	w.state.SettlementsRecorded(w.now, len(settlements), held)
	w.state.ChangesRecorded(changed)
	w.state.Delivered(grants)
	w.inspect()
}

// record records settlements in the rows, and returns the grants of those that run.
func (w *lostWorld) record(settlements []attune.Settlement) (held []attune.Grant) {
	for _, settled := range settlements {
		switch row := w.rows[settled.Sequence]; row.status {
		case attune.EnforcementQueued:
			row.status = settled.Status
		case attune.EnforcementGranted:
			held = append(held, row.grant)
		default:
		}
	}
	return held
}

// deliver lets the executions of granted rows start.
func (w *lostWorld) deliver(grants []attune.Grant) {
	for _, grant := range grants {
		row := w.rows[grant.Sequence]
		if row.status == attune.EnforcementQueued {
			row.status, row.grant = attune.EnforcementGranted, grant
			w.check(row)
		}
	}
}

// inspect tells the queue what became of holders that it has not heard of for some time.
func (w *lostWorld) inspect() {
	var gone, waiting []attune.Ticket
	for _, suspect := range w.state.Suspects(w.now) {
		switch row := w.rows[suspect.Sequence]; row.status {
		case attune.EnforcementGranted:
		case attune.EnforcementQueued:
			waiting = append(waiting, suspect.Ticket)
		default:
			gone = append(gone, suspect.Ticket)
		}
	}
	w.state.Inspected(w.now, gone, waiting)
}

// check compares the running rows with the limits, and the starts with the rates, when a row has started.
func (w *lostWorld) check(started *lostRow) {
	policy := w.state.Policy()
	limits := policy.Of(started.Action)
	var total, ofAction, ofLane int
	for _, row := range w.with(attune.EnforcementGranted) {
		total++
		if row.Action == started.Action {
			ofAction++
		}
		if row.Lane == started.Lane {
			ofLane++
		}
	}
	if total > policy.Limit || ofAction > *limits.Limit || ofLane > *limits.LimitPerKey {
		w.broken = append(w.broken, fmt.Sprintf("ticket %d at %s: %d run, %d of its action, %d in its lane",
			started.Sequence, w.now.Sub(start), total, ofAction, ofLane))
	}
	w.checkRates(started, 0, policy.Rates)
	w.checkRates(started, started.Action, limits.Rates)
}

// checkRates counts the starts of an action, 0 for every action, in the windows that end with a start.
func (w *lostWorld) checkRates(started *lostRow, action attune.ActionID, rates []attune.StartRate) {
	for _, rate := range rates {
		from := started.grant.GrantedAt.Add(-time.Duration(rate.Window))
		n := 0
		for _, row := range w.rows {
			at := row.grant.GrantedAt
			if (action == 0 || row.Action == action) && at.After(from) && !at.After(started.grant.GrantedAt) {
				n++
			}
		}
		if n > rate.Limit {
			w.broken = append(w.broken, fmt.Sprintf("ticket %d at %s: %d starts in %s", started.Sequence, w.now.Sub(start), n, rate.Window))
		}
	}
}

// noTest lets helpers of tests run outside of a test: their failure is a panic.
type noTest struct{}

func (noTest) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (noTest) FailNow()                          { panic("failed") }
