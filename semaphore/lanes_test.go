package semaphore_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// A ticket keeps its lane while it waits, when it is granted, and when the state is carried over.
func TestState_KeepsLanes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.SliceOfN(rapid.Int32Range(0, math.MaxInt32), 2, 20).Draw(t, "lanes")
		tickets := make([]attune.Ticket, len(lanes))
		for i, lane := range lanes {
			tickets[i] = attune.Ticket{
				Enforcement: attune.EnforcementID(100 + i), Sequence: int64(i + 1), EnqueuedAt: start.Add(time.Duration(i) * time.Second), Lane: lane,
			}
		}
		gap := rapid.IntRange(1, len(tickets)-1).Draw(t, "missing") // the later tickets are early
		state := open(attune.QueuePolicy{Limit: 1, MaxQueued: 100, QueueTimeout: attune.Duration(time.Minute)})
		state.Acquire(start, append(append([]attune.Ticket{}, tickets[:gap]...), tickets[gap+1:]...))
		state = handOver(t, state)

		require.Equal(t, lanes[0], state.Holders()[0].Lane)
		var waiting []int32
		for _, ticket := range state.Front(state.Waiting()) {
			waiting = append(waiting, ticket.Lane)
		}
		require.Equal(t, append(append([]int32(nil), lanes[1:gap]...), lanes[gap+1:]...), waiting)

		state.Advance(start.Add(time.Hour))
		for i, settlement := range handOver(t, state).UnrecordedSettlements(len(lanes)) {
			require.Equal(t, lanes[i+1], settlement.Lane)
		}
	})
}

// handOver returns the state of the next run.
func handOver(t *rapid.T, state *semaphore.State) *semaphore.State {
	data, err := json.Marshal(state)
	require.NoError(t, err)
	carried := new(semaphore.State)
	require.NoError(t, json.Unmarshal(data, carried))
	return carried
}

func TestState_CarriedLanes(t *testing.T) {
	t.Parallel()

	refused := map[string]string{
		"a lane is missing":          `EgIC`,
		"a lane is below the bound":  `EgICAQ`,
		"a lane is above the bound":  `EgICgICAgCA`,
		"an action is missing":       `FAIC`,
		"an attempt is missing":      `GAIC`,
		"there are bytes too many":   `EAICAA`,
		"the text is no base64 text": `*`,
	}
	for name, text := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			damaged := `{"v":1,"waiting":{"count":1,"packed":"` + text + `"}}`
			require.ErrorContains(t, json.Unmarshal([]byte(damaged), new(semaphore.State)), "damaged")
		})
	}
}
