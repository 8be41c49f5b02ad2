package semaphore_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/semaphore"
)

// line returns a state with n waiting tickets, as a busy installation makes them: enforcement ids of one queue have those
// of other queues between them, and arrivals are some seconds apart.
func line(n int) *semaphore.State {
	at := time.UnixMilli(1_700_000_000_000).UTC()
	snapshot := attune.QueueSnapshot{Policy: attune.QueuePolicy{Revision: 1, MaxQueued: attune.MaxQueuedLimit}}
	for i := range n {
		snapshot.Waiting = append(snapshot.Waiting, attune.Ticket{
			Enforcement: attune.EnforcementID(9_000_000 + 37*i), Sequence: int64(500_000 + i), EnqueuedAt: at.Add(time.Duration(i) * 2500 * time.Millisecond),
		})
	}
	snapshot.LastSequence = int64(500_000 + n)
	return semaphore.New(snapshot)
}

func TestState_CarriedForm(t *testing.T) {
	t.Parallel()

	t.Run("the encoded state is readable, but for tickets and holders", func(t *testing.T) {
		t.Parallel()
		state := semaphore.New(attune.QueueSnapshot{Policy: attune.QueuePolicy{Revision: 3, Limit: 1, MaxQueued: 10}})
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		state.Acquire(at, []attune.Ticket{{Enforcement: 41, Sequence: 1, EnqueuedAt: at}, {Enforcement: 42, Sequence: 2, EnqueuedAt: at}})
		data, err := json.Marshal(state)
		require.NoError(t, err)
		require.JSONEq(t, `{
			"v": 1, "policy": {"revision":3,"limit":1,"max_queued":10,"overflow":"","queue_timeout":"0s"}, "mode": "open", "next": 3, "last_grant": 1,
			"holders": {"count":1,"packed":"GFKQsszK72YCAAACkJKz7dGHHQAA0OHX7dGHHQIGAAAA"},
			"waiting": {"count":1,"packed":"IFSQsszK72Y"},
			"counters": {"accepted":2,"granted":1,"completed":0,"rejected":0,"cancelled":0,"expired":0,"withdrawn":0,"repeated":0,"unknown":0,"skipped":0,"recovered":0,"retried":0},
			"sleep": {"check_at":"2026-01-02T03:04:15Z","last_grant":1}
		}`, string(data))
	})

	t.Run("a waiting ticket takes 16 bytes at most", func(t *testing.T) {
		t.Parallel()
		data, err := json.Marshal(line(10_000))
		require.NoError(t, err)
		require.Less(t, len(data), 16*10_000)
	})

	t.Run("a waiting ticket of its own lane takes 12 bytes at most", func(t *testing.T) {
		t.Parallel()
		const n = 100_000
		at := time.UnixMilli(1_700_000_000_000).UTC()
		snapshot := attune.QueueSnapshot{Policy: attune.QueuePolicy{Revision: 1, MaxQueued: n}, LastSequence: 500_000 + n}
		for i := range n {
			snapshot.Waiting = append(snapshot.Waiting, attune.Ticket{
				Enforcement: attune.EnforcementID(9_000_000 + 37*i), Sequence: int64(500_000 + i), EnqueuedAt: at.Add(time.Duration(i) * 2500 * time.Millisecond),
				Lane: int32((i * 7919) % n), Action: attune.ActionID(1 + i%3),
			})
		}
		data, err := json.Marshal(semaphore.New(snapshot))
		require.NoError(t, err)
		require.Less(t, len(data), 12*n)
	})

	refused := map[string]struct{ data, says string }{
		"the version is newer":                   {`{"v":2}`, "version 2"},
		"the version is missing":                 {`{}`, "version 0"},
		"the text is not base64":                 {`{"v":1,"waiting":{"count":1,"packed":"*"}}`, "damaged"},
		"there are more tickets than bytes":      {`{"v":1,"waiting":{"count":9,"packed":"AgIC"}}`, "damaged"},
		"the count is negative":                  {`{"v":1,"waiting":{"count":-1,"packed":""}}`, "-1 tickets in 0 bytes"},
		"there are fewer tickets than the count": {`{"v":1,"early":{"count":1,"packed":"AgICAgIC"}}`, "damaged"},
		"a ticket is incomplete":                 {`{"v":1,"settling":[{"tickets":{"count":1,"packed":"Ag"}}]}`, "damaged"},
		"the type is wrong":                      {`{"v":"1"}`, "queue state"},
	}
	for name, tt := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := json.Unmarshal([]byte(tt.data), new(semaphore.State))
			require.ErrorContains(t, err, tt.says)
		})
	}
}

// FuzzState_UnmarshalJSON feeds arbitrary carried state: it is refused, or it survives another round unchanged.
func FuzzState_UnmarshalJSON(f *testing.F) {
	for _, n := range []int{0, 1, 100} {
		data, err := json.Marshal(line(n))
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"v":1,"policy":{"rates":[{"name":"a","limit":2,"window":"1m"}]},"starts":{"count":1,"packed":"BIDQy7PyYgI"}}`))
	f.Add([]byte(`{"v":1,"ended_early":[4],"unseen":{"count":1,"packed":"UBIA"},"early":{"count":1,"packed":"BFSQw6i2728"},"settling":[{"tickets":{"count":1,"packed":"AgIC"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		state := new(semaphore.State)
		if json.Unmarshal(data, state) != nil {
			return
		}
		first, err := json.Marshal(state)
		if err != nil { // a time that JSON cannot represent
			require.True(t, strings.Contains(err.Error(), "Time") || strings.Contains(err.Error(), "year"), err)
			return
		}
		again := new(semaphore.State)
		require.NoError(t, json.Unmarshal(first, again))
		second, err := json.Marshal(again)
		require.NoError(t, err)
		require.JSONEq(t, string(first), string(second))
	})
}

func BenchmarkState_Carry(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("waiters=%d", n), func(b *testing.B) {
			state := line(n)
			var data []byte
			for b.Loop() {
				var err error
				if data, err = json.Marshal(state); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(data))/float64(n), "B/waiter")
		})
	}
}
