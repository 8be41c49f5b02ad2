package postgres_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func effectsOf(completions []attune.Completion) []attune.CompletionEffect {
	effects := make([]attune.CompletionEffect, len(completions))
	for i, completion := range completions {
		effects[i] = completion.Effect
	}
	return effects
}

func TestExecutions_Finish(t *testing.T) {
	t.Parallel()

	t.Run("a report ends the execution and its enforcement", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		message := b.request(t, ticket)
		require.True(t, b.claim(t, message, "worker-1").Granted)
		report := reportOf(message)
		report.Status, report.Reason, report.Error = attune.ExecutionFailed, attune.ReasonExitCode, "exit code 3"
		report.ExitCode, report.Stdout, report.Stderr, report.Truncated = new(3), "out", "err", true
		report.Result = json.RawMessage(`{"n": 1.50}`)

		require.Empty(t, cmp.Diff([]attune.Completion{{
			Execution: message.Execution, Queue: queueKey, Ticket: ticket, Effect: attune.CompletionFinished,
		}}, b.finish(t, report)))
		got := b.execution(t, message.Execution)
		want := got
		want.Status, want.Reason, want.Error, want.ExitCode = report.Status, report.Reason, report.Error, report.ExitCode
		want.Stdout, want.Stderr, want.Truncated, want.Result = "out", "err", true, report.Result
		want.Worker = "worker-1"
		require.Empty(t, cmp.Diff(want, got))
		enforcement := b.enforcement(t, ticket.Enforcement)
		require.Equal(t, attune.EnforcementExecuted, enforcement.Status)
		require.Equal(t, got.FinishedAt, enforcement.FinishedAt)
	})

	t.Run("each report of a batch has its effect, in order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 3)
		require.True(t, b.claim(t, messages[0], "worker-1").Granted)
		first, second, third := reportOf(messages[0]), reportOf(messages[1]), reportOf(messages[2])
		b.finish(t, third)
		unknown, stale := first, second
		unknown.Execution, stale.Attempt = 4711, 2

		require.Equal(t, []attune.CompletionEffect{
			attune.CompletionStale, attune.CompletionFinished, attune.CompletionUnknown, attune.CompletionRepeated,
			attune.CompletionFinished, attune.CompletionRepeated,
		}, effectsOf(b.finish(t, stale, second, unknown, third, first, second)))
		require.EqualValues(t, 3, b.stats(t).TotalCompleted)
		require.Empty(t, b.finish(t))
	})

	t.Run("a hundred duplicates finish once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 2)
		reports := make([]attune.ExecutionCompletedMessage, 100)
		for i := range reports {
			reports[i] = reportOf(messages[0])
			reports[i].Stdout = strings.Repeat("x", i)
		}
		effects := effectsOf(b.finish(t, reports...))
		require.Equal(t, attune.CompletionFinished, effects[0])
		for _, effect := range effects[1:] {
			require.Equal(t, attune.CompletionRepeated, effect)
		}
		require.Empty(t, b.execution(t, messages[0].Execution).Stdout, "the first report counts")
		stats := b.stats(t)
		require.Equal(t, []int64{1, 1}, []int64{stats.TotalCompleted, stats.ActiveCount})
	})

	t.Run("duplicates in concurrent batches finish once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 20)
		results, errs := make([][]attune.Completion, 10), make([]error, 10)
		var wg sync.WaitGroup
		for i := range results {
			var reports []attune.ExecutionCompletedMessage
			for j := range messages {
				reports = append(reports, reportOf(messages[(i*7+j*3)%len(messages)])) // every batch in another order
			}
			wg.Go(func() { results[i], errs[i] = b.executions.Finish(t.Context(), reports) })
			wg.Go(func() {
				claims := []attune.ExecutionClaimMessage{claimOf(messages[i], "worker-1"), claimOf(messages[0], "worker-1")}
				_, _ = b.executions.Claim(t.Context(), claims, lease)
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		finished := make(map[attune.ExecutionID]int)
		for _, completions := range results {
			for _, completion := range completions {
				if completion.Effect == attune.CompletionFinished {
					finished[completion.Execution]++
				}
			}
		}
		require.Len(t, finished, len(messages))
		for id, times := range finished {
			require.Equal(t, 1, times, "execution %d", id)
		}
		require.EqualValues(t, len(messages), b.stats(t).TotalCompleted)
	})
}

// TestExecutions_FinishManyQueues ends executions of many queues while others are accepted into the same queues, each
// batch in an order of its own: a wrong order of locks would deadlock.
func TestExecutions_FinishManyQueues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const batches = 8
	actions := b.installWide(t, 40)
	admissions, err := b.enforcements.Admit(t.Context(), b.bulk(t, batches, actions...))
	require.NoError(t, err)
	reports := make([][]attune.ExecutionCompletedMessage, batches)
	for _, admission := range admissions {
		for i, ticket := range admission.Tickets {
			request, err := b.executions.Request(t.Context(), admission.Queue, grant(ticket))
			require.NoError(t, err)
			reports[i] = append(reports[i], reportOf(*request.Message))
		}
	}
	newcomers := slices.Collect(slices.Chunk(b.bulk(t, batches, actions...), len(actions)))

	errs := make([]error, 2*batches)
	var wg sync.WaitGroup
	for i := range batches {
		if i%2 == 1 {
			slices.Reverse(reports[i])
			slices.Reverse(newcomers[i])
		}
		wg.Go(func() { _, errs[2*i] = b.executions.Finish(t.Context(), reports[i]) })
		wg.Go(func() { _, errs[2*i+1] = b.enforcements.Admit(t.Context(), newcomers[i]) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	require.EqualValues(t, len(actions), b.count(t, `SELECT count(*) FROM queues WHERE last_sequence = 16 AND total_completed = 8`))
}

// TestExecutions_FinishAnything stores any output of a process: a report that cannot be stored would never release its slot.
func TestExecutions_FinishAnything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name           string
		output, stored string
		result         string
		storedResult   string
	}{
		{name: "NUL", output: "a\x00b", stored: "a\uFFFDb", result: `"\u0000"`, storedResult: `"\u0000"`},
		{name: "invalid UTF-8", output: "a\xffb", stored: "a\uFFFDb", result: "\"a\xffb\"", storedResult: "\"a\uFFFDb\""},
		{name: "lone surrogate", result: `"\ud800"`, storedResult: `"\ud800"`},
		{name: "huge number", result: `1e999999`, storedResult: `1e999999`},
		{
			name: "deep", result: strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
			storedResult: strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		},
		{name: "long", output: strings.Repeat("ä", 1<<20), stored: strings.Repeat("ä", 1<<20)},
	}
	messages := b.requested(t, len(tests))
	for i, test := range tests {
		report := reportOf(messages[i])
		report.Stdout, report.Stderr, report.Error, report.Worker = test.output, test.output, test.output, "w\x00"
		report.Result = json.RawMessage(test.result)
		completions := b.finish(t, report)
		require.Equal(t, attune.CompletionFinished, completions[0].Effect, test.name)
		execution := b.execution(t, messages[i].Execution)
		require.Equal(t, test.stored, execution.Stdout, test.name)
		require.Equal(t, test.stored, execution.Stderr, test.name)
		require.Equal(t, test.stored, execution.Error, test.name)
		require.Equal(t, test.storedResult, string(execution.Result), test.name)
	}
}

func TestExecutions_FinishInvalid(t *testing.T) {
	t.Parallel()
	b := setup(t)
	message := b.requested(t, 1)[0]
	running, broken := reportOf(message), reportOf(message)
	running.Status = attune.ExecutionRunning
	broken.Result = json.RawMessage(`{"a":`)
	for _, report := range []attune.ExecutionCompletedMessage{running, broken, {}} {
		_, err := b.executions.Executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{reportOf(message), report})
		requireCode(t, attune.CodeInvalid, err, attune.KeyExecutionCompleted)
	}
	require.Equal(t, attune.ExecutionRequested, b.execution(t, message.Execution).Status, "nothing of a refused batch is done")
}
