package semaphore_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// crowd is a queue with many keys, two tickets each, whose state is handed over now and then, as to the next process after a
// kill. It checks each grant against what it has counted itself.
type crowd struct {
	t       *testing.T
	state   *semaphore.State
	waiting map[int32][]int64 // sequences by lane, in order
	holders []attune.Ticket
	inLane  map[int32]int
	largest int // bytes of a carried state
}

func (c *crowd) handOver() {
	data, err := json.Marshal(c.state)
	require.NoError(c.t, err)
	c.largest = max(c.largest, len(data))
	c.state = new(semaphore.State)
	require.NoError(c.t, json.Unmarshal(data, c.state))
}

// take takes the new grants. Within a turn, grants follow sequences, because every lane of a granted ticket had room.
func (c *crowd) take(limit, perKey int) {
	passed := int64(0)
	grants := c.state.Deliverable(attune.MaxLimit)
	for _, grant := range grants {
		require.Greater(c.t, grant.Sequence, passed, "an eligible ticket was passed")
		passed = grant.Sequence
		line := c.waiting[grant.Lane]
		require.Equal(c.t, line[0], grant.Sequence, "out of order in lane %d", grant.Lane)
		c.waiting[grant.Lane] = line[1:]
		c.inLane[grant.Lane]++
		require.LessOrEqual(c.t, c.inLane[grant.Lane], perKey, "lane %d is above its limit", grant.Lane)
		c.holders = append(c.holders, grant.Ticket)
		require.LessOrEqual(c.t, len(c.holders), limit)
	}
	c.state.Delivered(grants)
}

// TestState_ManyKeys runs a queue with two tickets per key to its end. All keys have a ticket in line before the first slot becomes
// free; after each release, one more ticket arrives. The long form (`make soak`) has 100 000 keys.
func TestState_ManyKeys(t *testing.T) {
	t.Parallel()
	const limit, perKey = 50, 1
	keys := 10_000
	if os.Getenv("ATTUNE_TEST_SOAK") != "" {
		keys = attune.MaxQueuedLimit
	}
	random := rand.New(rand.NewPCG(1, 2))
	lanes := append(random.Perm(keys), random.Perm(keys)...)
	c := &crowd{t: t, waiting: map[int32][]int64{}, inLane: map[int32]int{}}
	c.state = semaphore.New(attune.QueueSnapshot{Policy: attune.QueuePolicy{
		Revision: 1, Limit: limit, MaxQueued: keys, Across: attune.AcrossSkip,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: new(perKey)}},
	}})
	arrived := 0
	arrive := func() {
		lane := int32(lanes[arrived] + 1)
		arrived++
		c.waiting[lane] = append(c.waiting[lane], int64(arrived))
		c.state.Acquire(start, []attune.Ticket{ticketIn(lane, int64(arrived))})
		c.take(limit, perKey)
	}
	for range keys {
		arrive()
	}
	for turn := 0; len(c.holders) > 0; turn++ {
		if turn%(keys/10) == 0 {
			c.handOver()
		}
		i := random.IntN(len(c.holders))
		c.inLane[c.holders[i].Lane]--
		c.state.Release(start, c.holders[i:i+1])
		c.holders = slices.Delete(c.holders, i, i+1)
		c.take(limit, perKey)
		if arrived < len(lanes) {
			arrive()
		}
	}
	require.EqualValues(t, 2*keys, c.state.Counters().Completed)
	require.Zero(t, c.state.Waiting())
	t.Logf("measured: %d keys, %d grants: none above a limit, out of order or passed; largest carried state %d bytes",
		keys, c.state.Counters().Granted, c.largest)
	require.Less(t, c.largest, 1_800_000)
}

// TestState_Skew: one key has a thousand times as many tickets as another. The small key waits for its own holder at most, as if
// it were alone in a queue without room: no ticket of the large key is in front of it.
func TestState_Skew(t *testing.T) {
	t.Parallel()
	const hold = time.Second
	state := semaphore.New(attune.QueueSnapshot{Policy: attune.QueuePolicy{
		Revision: 1, Limit: 10, MaxQueued: attune.MaxQueuedLimit, Across: attune.AcrossSkip,
		Actions: []attune.ActionPolicy{{Action: 1, LimitPerKey: new(1)}},
	}})
	sequence := int64(0)
	arrivals, ends := map[int64]time.Time{}, map[int64]time.Time{}
	var waits []time.Duration
	for second := range 100 {
		now := start.Add(time.Duration(second) * hold)
		for _, holder := range state.Holders() {
			if end := ends[holder.Sequence]; !end.After(now) {
				state.Release(now, []attune.Ticket{holder.Ticket})
			}
		}
		for n := range 1000 {
			sequence++
			lane := int32(1)
			if n == 999 {
				lane = 2
			}
			ticket := ticketIn(lane, sequence)
			ticket.EnqueuedAt, arrivals[sequence] = now, now
			state.Acquire(now, []attune.Ticket{ticket})
		}
		grants := state.Deliverable(100)
		for _, grant := range grants {
			ends[grant.Sequence] = now.Add(hold)
			if grant.Lane == 2 {
				waits = append(waits, now.Sub(arrivals[grant.Sequence]))
			}
		}
		state.Delivered(grants)
	}
	slices.Sort(waits)
	require.GreaterOrEqual(t, len(waits), 95)
	require.LessOrEqual(t, waits[len(waits)*95/100], hold, "alone, the small key waits for nothing; twice that plus one hold is the bound")
}
