package postgres_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/proof"
	"github.com/attune-go/attune/semaphore"
)

// TestRetries_KeepThePromises runs the semaphore directly on the rows, with every placement of retries, lost deliveries and
// rebuilds. Package proof, which shares no code with either, then checks the rows.
func TestRetries_KeepThePromises(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := &simulation{
		bundle: b, random: rand.New(rand.NewPCG(3, 5)), effects: make(map[attune.CompletionEffect]int),
		running: make(map[attune.EnforcementID]attune.ExecutionRequestedMessage),
	}
	s.load(t)
	ids := b.bulk(t, 60, deploy)
	for round := range 600 {
		s.place(t, round)
		switch dice := s.random.IntN(10); {
		case dice < 2 && len(ids) > 0:
			s.admit(t, ids[0])
			ids = ids[1:]
		case dice < 5:
			s.deliver(t)
		case dice < 8:
			s.end(t, attune.ExecutionFailed)
		case dice < 9:
			s.end(t, attune.ExecutionSucceeded)
		case round%3 == 0:
			s.lose(t)
		case round%5 == 0:
			s.load(t)
		default:
			s.retryParked(t)
		}
	}
	s.requireKept(t)
	for range 300 { // until all executions have ended
		s.deliver(t)
		s.end(t, attune.ExecutionSucceeded)
	}
	report := s.requireKept(t)
	stats := b.stats(t)
	require.Zero(t, stats.QueueLength+stats.ActiveCount)
	require.Greater(t, report.Checked.Generations, 2)
	require.Positive(t, report.Checked.Retried)
	for _, effect := range []attune.CompletionEffect{
		attune.CompletionFinished, attune.CompletionRetrying, attune.CompletionRequeued, attune.CompletionParked,
		attune.CompletionRepeated,
	} {
		require.Positive(t, s.effects[effect], "%s: %v", effect, s.effects)
	}
}

// simulation is a queue with its rows.
type simulation struct {
	*bundle
	random  *rand.Rand
	state   *semaphore.State
	running map[attune.EnforcementID]attune.ExecutionRequestedMessage
	effects map[attune.CompletionEffect]int // how often each was seen
}

// place changes the placement now and then.
func (s *simulation) place(t *testing.T, round int) {
	t.Helper()
	if round%50 != 0 {
		return
	}
	placements := []attune.RetryPlacement{attune.RetryHold, attune.RetryBack, attune.RetryPark}
	p := retries(placements[round/50%3])
	p.Limit, p.RetryDelay = new(3), new(attune.Duration(0))
	s.policy(t, p)
}

// load is a queue that has lost its state.
func (s *simulation) load(t *testing.T) {
	t.Helper()
	s.state = semaphore.New(s.rebuild(t))
	s.state.Rebuilt(time.Now())
}

// admit accepts an enforcement, new or retried at the back.
func (s *simulation) admit(t *testing.T, id attune.EnforcementID) {
	t.Helper()
	admissions, err := s.enforcements.Admit(t.Context(), []attune.EnforcementID{id})
	require.NoError(t, err)
	for _, admission := range admissions {
		s.state.SetPolicy(time.Now(), admission.Policy)
		s.state.Acquire(time.Now(), admission.Tickets)
	}
}

// deliver acts upon grants, or loses them.
func (s *simulation) deliver(t *testing.T) {
	t.Helper()
	for _, given := range s.state.Deliverable(3) {
		if s.random.IntN(3) == 0 {
			continue
		}
		request, err := s.executions.Request(t.Context(), queueKey, given)
		require.NoError(t, err)
		require.False(t, request.Fenced || request.Ended, "grant %+v: %+v", given, request)
		if request.Message != nil {
			s.running[given.Enforcement] = *request.Message
		}
		s.state.Delivered([]attune.Grant{given})
	}
}

// end ends an attempt of some execution, and tells the queue.
func (s *simulation) end(t *testing.T, status attune.ExecutionStatus) {
	t.Helper()
	message, ok := s.takeRunning()
	if !ok {
		return
	}
	report := reportOf(message)
	report.Status = status
	c := s.finish(t, report)[0]
	require.NotEqual(t, attune.CompletionRepeated, c.Effect)
	s.tell(t, c)
}

// lose makes the lease of some execution expire. The queue gets the report from the outbox.
func (s *simulation) lose(t *testing.T) {
	t.Helper()
	message, ok := s.takeRunning()
	if !ok {
		return
	}
	require.True(t, s.claim(t, message, "worker-1").Granted)
	s.runOut(t, message.Execution)
	s.takeOutbox(t)
	require.Equal(t, 1, s.expireLeases(t, 10))
	reports := s.reported(t)
	require.Len(t, reports, 1)
	s.tell(t, s.bundle.end(t, reports[0])[0])
}

// takeRunning removes and returns some running execution.
func (s *simulation) takeRunning() (message attune.ExecutionRequestedMessage, ok bool) {
	running := slices.Sorted(maps.Keys(s.running))
	if len(running) == 0 {
		return message, false
	}
	message = s.running[running[s.random.IntN(len(running))]]
	delete(s.running, message.Enforcement)
	return message, true
}

// tell signals the queue as a completion requires.
func (s *simulation) tell(t *testing.T, c attune.Completion) {
	t.Helper()
	s.effects[c.Effect]++
	switch c.Effect {
	case attune.CompletionRetrying:
		s.state.Retry(time.Now(), []attune.Retry{{Ticket: c.Ticket, NotBefore: c.NotBefore}})
		s.state.Advance(c.NotBefore)
	case attune.CompletionRequeued:
		s.admit(t, c.Ticket.Enforcement)
	case attune.CompletionFinished, attune.CompletionRepeated, attune.CompletionParked:
		s.state.Release(time.Now(), []attune.Ticket{c.Ticket})
	default:
		require.Failf(t, "the report changed nothing", "%+v", c)
	}
}

func (s *simulation) retryParked(t *testing.T) {
	t.Helper()
	parked, err := s.enforcements.List(t.Context(), attune.EnforcementFilter{Status: attune.EnforcementParked}, attune.Page{Limit: 1})
	require.NoError(t, err)
	for _, e := range parked {
		_, err := s.enforcements.Retry(t.Context(), e.ID, ada)
		require.NoError(t, err)
		s.admit(t, e.ID)
	}
}

// requireKept checks the rows with package proof.
func (s *simulation) requireKept(t *testing.T) proof.Report {
	t.Helper()
	enforcements, err := s.enforcements.List(t.Context(), attune.EnforcementFilter{Queue: queueKey}, attune.Page{Limit: attune.MaxPageLimit})
	require.NoError(t, err)
	grants := s.grants(t, attune.Page{Limit: attune.MaxPageLimit})
	require.Less(t, len(grants), attune.MaxPageLimit)
	policies, err := s.queues.QueuePolicies(t.Context(), queueKey, attune.Page{Limit: attune.MaxPageLimit})
	require.NoError(t, err)
	report := proof.Check(proof.Rows{Queue: queueKey, Stats: s.stats(t), Enforcements: enforcements, Grants: grants, Policies: policies})
	require.Empty(t, report.Violations)
	require.Zero(t, report.Checked.PolicyUnknown)
	return report
}
