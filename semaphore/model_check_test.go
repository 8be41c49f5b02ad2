package semaphore_test

import (
	"slices"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// check compares the state with the oracle, and the promises of the package with both.
func (m *machine) check(t *rapid.T) {
	var holders []int64
	for _, holder := range m.state.Holders() {
		holders = append(holders, holder.Sequence)
		require.Equal(t, m.oracle.granted[holder.Number-1], holder.Sequence, "numbers count the grants")
		if !m.seen[holder.Sequence] {
			m.seen[holder.Sequence] = true
			m.grants = append(m.grants, holder.Sequence)
		}
	}
	require.Equal(t, m.oracle.limit(m.now), m.state.Limit(), "limit")
	var line []int64
	for _, ticket := range m.state.Front(m.state.Waiting()) {
		line = append(line, ticket.Sequence)
	}
	require.ElementsMatch(t, m.oracle.in(holding), holders, "holders")
	var begun []int64
	for _, grant := range m.state.Undelivered(len(holders)) {
		require.Equal(t, m.oracle.entries[grant.Sequence-1].attempt, grant.Attempt, "attempt")
		begun = append(begun, grant.Sequence)
	}
	require.ElementsMatch(t, m.oracle.begun(), begun, "to deliver")
	for _, grant := range m.state.Deliverable(len(holders)) {
		require.LessOrEqual(t, m.oracle.entries[grant.Sequence-1].after, m.oracle.recorded, "tentative")
	}
	require.Equal(t, append(m.oracle.in(waiting), m.oracle.in(behind)...), append([]int64(nil), line...), "line")
	known := slices.DeleteFunc(append([]int64{}, m.oracle.granted...), func(s int64) bool { return s == 0 })
	require.Equal(t, known, append([]int64{}, m.grants...), "each grant once, in the oracle's order")
	byLane := map[int32][]int64{}
	for _, sequence := range m.grants {
		lane := m.oracle.entries[sequence-1].ticket.Lane
		byLane[lane] = append(byLane[lane], sequence)
	}
	for lane, sequences := range byLane {
		require.True(t, slices.IsSorted(sequences), "FIFO in lane %d: %v", lane, sequences)
	}
	var toEnd []int64
	for _, e := range m.oracle.entries {
		if e.place == holding && e.mustEnd && !e.asked && !m.oracle.tentative(e.ticket) {
			toEnd = append(toEnd, e.ticket.Sequence)
		}
	}
	var asks []int64
	for _, grant := range m.state.ToEnd(len(holders)) {
		asks = append(asks, grant.Sequence)
	}
	require.ElementsMatch(t, toEnd, asks, "holders to end")
	require.True(t, slices.IsSorted(line), "line out of order: %v", line)

	for _, ticket := range m.state.Front(m.state.Waiting()) {
		require.NotEmpty(t, m.state.Obstacles(ticket), "sequence %d waits without an obstacle", ticket.Sequence)
	}

	c := m.state.Counters()
	require.EqualValues(t, m.oracle.count(func(e entry) bool { return e.expired }), c.Expired)
	require.EqualValues(t, m.oracle.count(func(e entry) bool { return e.rejected }), c.Rejected)
	require.EqualValues(t, len(m.oracle.granted), c.Granted)
	require.Equal(t, c.Accepted,
		int64(m.state.Waiting()+m.state.Active())+c.Completed+c.Rejected+c.Cancelled+c.Expired+c.Withdrawn, "accounting: %+v", c)
	if wake, ok := m.state.WakeAt(); ok {
		require.True(t, wake.After(m.now), "a deadline has passed and no ticket expired")
	}
}
