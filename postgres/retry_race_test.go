package postgres_test

import (
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// retryingMany creates retrying executions, and returns the completions of their first attempts.
func (b *bundle) retryingMany(t *testing.T, n int) []attune.Completion {
	t.Helper()
	var reports []attune.ExecutionCompletedMessage
	for _, ticket := range b.admit(t, b.bulk(t, n, deploy)...) {
		reports = append(reports, failed(b.request(t, ticket)))
	}
	completions := b.finish(t, reports...)
	b.takeOutbox(t)
	return completions
}

// TestRetries_SettleRacesWithRequests settles waiting retries in one batch while they are granted. Both change executions and
// enforcements: a wrong order of locks would deadlock.
func TestRetries_SettleRacesWithRequests(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	const n, rounds = 60, 5
	for range rounds {
		completions := b.retryingMany(t, n)
		var settlements []attune.Settlement
		grants := make([]attune.Grant, n)
		first := b.nextGrant(t, completions[0].Ticket)
		for i, c := range completions {
			settlements = append(settlements, attune.Settlement{
				Ticket: c.Ticket, Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout,
			})
			grants[i] = first
			grants[i].Ticket, grants[i].Number = c.Ticket, first.Number+int64(i)
		}
		requests, errs := make([]attune.ExecutionRequest, n), make([]error, n+2)
		indices := make(chan int, n)
		for i := range slices.Backward(grants) {
			indices <- i
		}
		close(indices)
		var wg sync.WaitGroup
		for range 6 {
			wg.Go(func() {
				for i := range indices {
					requests[i], errs[i] = b.executions.Request(t.Context(), queueKey, grants[i])
				}
			})
		}
		for half, part := range [][]attune.Settlement{settlements[:n/2], settlements[n/2:]} {
			slices.Reverse(part)
			wg.Go(func() { _, errs[n+half] = b.recordEnds(t.Context(), queueKey, part) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for i, request := range requests {
			enforcement, execution := b.enforcement(t, grants[i].Enforcement), b.execution(t, completions[i].Execution)
			if request.Ended {
				require.Equal(t, attune.EnforcementExpired, enforcement.Status)
				require.Equal(t, attune.ExecutionFailed, execution.Status)
				continue
			}
			require.Equal(t, attune.EnforcementGranted, enforcement.Status)
			require.Equal(t, attune.ExecutionRequested, execution.Status)
			require.Equal(t, 2, request.Message.Attempt)
		}
		require.NoError(t, addsUp(b.stats(t)))
	}
}

// TestRetries_CancelRacesWithRequests cancels executions that hold their slots for the second attempt, while that attempt is
// requested. In either order, the report in the outbox is about the attempt that the cancel ended, and frees the slot.
func TestRetries_CancelRacesWithRequests(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	const n = 150
	completions := b.retryingMany(t, n)
	requests, errs := make([]attune.ExecutionRequest, n), make([]error, 2*n)
	var wg sync.WaitGroup
	for side := range 2 {
		indices := make(chan int, n)
		for i := range n {
			indices <- i
		}
		close(indices)
		for range 5 {
			wg.Go(func() {
				for i := range indices {
					if side == 0 {
						_, errs[i] = b.executions.Cancel(t.Context(), completions[i].Execution, ada)
						continue
					}
					given := grant(completions[i].Ticket)
					requests[i], errs[n+i] = b.executions.Request(t.Context(), queueKey, given)
				}
			})
		}
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))

	rows := b.takeOutbox(t)
	require.Len(t, rows, n)
	seen := make(map[int]int)
	for _, row := range rows {
		var report attune.ExecutionEndedMessage
		require.NoError(t, json.Unmarshal(row.Body, &report))
		completion := b.end(t, report)[0]
		require.Equal(t, attune.CompletionRepeated, completion.Effect, "execution %d, attempt %d", report.Execution, report.Attempt)
		require.Equal(t, attune.ExecutionCancelled, b.execution(t, report.Execution).Status)
		seen[report.Attempt]++
	}
	begun := 0
	for _, request := range requests {
		if !request.Ended {
			begun++
		}
	}
	require.Equal(t, seen[2], begun, "those whose second attempt had begun were cancelled in it")
	stats := b.stats(t)
	require.Zero(t, stats.ActiveCount)
	require.EqualValues(t, n, stats.TotalCompleted)
	require.Zero(t, b.count(t, `SELECT count(*) FROM grants WHERE released_at IS NULL`))
}
