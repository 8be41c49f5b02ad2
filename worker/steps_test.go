package worker_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/worker"
)

// TestWorker_Steps reads the log in the way of a program that measures the steps of an attempt.
func TestWorker_Steps(t *testing.T) {
	t.Parallel()

	t.Run("the log has the times of the claim, the start and the end, and the duration", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer // written by the worker, read after the worker has stopped
		b := setup(t)
		var err error
		b.Worker, err = worker.New(worker.Config{Name: "w1", Packs: map[string]string{"demo": b.dir}, Action: actionOf},
			b.requests, b.claims, b.reports, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
		require.NoError(t, err)
		b.start(t)
		before := time.Now()
		report := b.do(t, request("true"))
		require.NoError(t, b.stopped(t))

		type line struct {
			Time      time.Time
			Msg       string
			Execution attune.ExecutionID
			Attempt   int
			LeaseFrom time.Time `json:"lease_from"`
			Took      time.Duration
		}
		found := map[string]line{}
		for decoder := json.NewDecoder(&log); decoder.More(); {
			var l line
			require.NoError(t, decoder.Decode(&l))
			found[l.Msg] = l
		}
		starts, ended := found["execution starts"], found["execution ended"]
		require.Equal(t, attune.AttemptID{Execution: report.Execution, Attempt: 1}, attune.AttemptID{Execution: starts.Execution, Attempt: starts.Attempt})
		require.Equal(t, report.Execution, ended.Execution)
		require.WithinRange(t, starts.LeaseFrom, before, starts.Time)
		require.Equal(t, report.FinishedAt.Sub(report.StartedAt), ended.Took)
		require.WithinRange(t, ended.Time, report.FinishedAt, time.Now())
	})
}
