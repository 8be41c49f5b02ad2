package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestExecutions_Request(t *testing.T) {
	t.Parallel()

	t.Run("a grant changes the enforcement and returns the message to publish", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		given := grant(ticket)
		given.Number = 7
		request, err := b.executions.Request(t.Context(), queueKey, given)
		require.NoError(t, err)
		require.False(t, request.Ended)
		action := demoPack().Actions[0]
		enforcement := b.enforcement(t, ticket.Enforcement)
		execution := b.execution(t, request.Message.Execution)
		installation, err := b.db.Installation(t.Context())
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(&attune.ExecutionRequestedMessage{
			Installation: installation.ID, Execution: execution.ID, Enforcement: ticket.Enforcement, Action: deploy, Attempt: 1,
			Pool: action.Pool,
		}, request.Message))
		require.Equal(t, attune.EnforcementGranted, enforcement.Status)
		require.EqualValues(t, 7, enforcement.GrantNumber)
		require.True(t, given.GrantedAt.Equal(*enforcement.GrantedAt))
		require.Empty(t, cmp.Diff(attune.Execution{
			ID: execution.ID, Enforcement: ticket.Enforcement, Action: deploy, ActionID: enforcement.ActionID, Queue: queueKey,
			Sequence: 1, Attempt: 1, Status: attune.ExecutionRequested, Pool: action.Pool, Parameters: enforcement.Parameters,
			Timeout: attune.Duration(action.Timeout), RequestedAt: execution.RequestedAt,
		}, execution))
	})

	t.Run("the message is repeated until the execution is claimed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		message := b.request(t, ticket)

		// The pack changes in between, but every copy of the message is the same.
		pack := demoPack()
		pack.Digest, pack.Actions[0].Command, pack.Actions[0].Pool = "demo-2", []string{"./other.sh"}, "other"
		b.install(t, pack)
		require.Empty(t, cmp.Diff(message, b.request(t, ticket)))

		require.True(t, b.claim(t, message, "worker-1").Granted)
		request, err := b.executions.Request(t.Context(), queueKey, grant(ticket))
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionRequest{}, request)

		b.finish(t, reportOf(message))
		request, err = b.executions.Request(t.Context(), queueKey, grant(ticket))
		require.NoError(t, err)
		require.Equal(t, attune.ExecutionRequest{Ended: true}, request)
		require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM executions`))
	})

	t.Run("concurrent requests create one execution", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		given := grant(ticket)
		requests, errs := make([]attune.ExecutionRequest, 12), make([]error, 12)
		var wg sync.WaitGroup
		for i := range requests {
			wg.Go(func() { requests[i], errs[i] = b.executions.Request(t.Context(), queueKey, given) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		for _, request := range requests {
			require.Empty(t, cmp.Diff(requests[0], request))
		}
	})

	t.Run("an impossible grant is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		_, err := b.executions.Request(t.Context(), queueKey, grant(attune.Ticket{Enforcement: 4711, Sequence: 1}))
		requireCode(t, attune.CodeNotFound, err, "4711")
		_, err = b.executions.Request(t.Context(), "demo.other", grant(tickets[0]))
		requireCode(t, attune.CodeConflict, err, `"demo.other"`, "queued")
		fresh := attune.Ticket{Enforcement: b.created(t, deploy, 1)[0], Sequence: 9}
		_, err = b.executions.Request(t.Context(), queueKey, grant(fresh))
		requireCode(t, attune.CodeConflict, err, "created")
		_, err = b.executions.Request(t.Context(), queueKey, attune.Grant{Ticket: tickets[0]})
		requireCode(t, attune.CodeInvalid, err)
	})

	t.Run("a grant number that is used again gets the next free number", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		b.request(t, tickets[0])
		taken := grant(tickets[1])
		taken.Number = b.enforcement(t, tickets[0].Enforcement).GrantNumber
		request, err := b.executions.Request(t.Context(), queueKey, taken)
		require.NoError(t, err)
		require.NotNil(t, request.Message)
		require.Equal(t, taken.Number+1, b.enforcement(t, tickets[1].Enforcement).GrantNumber)
		require.EqualValues(t, 2, b.count(t, `SELECT count(DISTINCT number) FROM grants`))
	})
}

func TestExecutions_Claim(t *testing.T) {
	t.Parallel()

	t.Run("one worker wins the claim", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		var wg sync.WaitGroup
		replies, errs := make([]attune.ExecutionClaimReply, 10), make([]error, 10)
		for i := range replies {
			wg.Go(func() {
				claims := []attune.ExecutionClaimMessage{claimOf(message, string(rune('a'+i)))}
				got, err := b.executions.Claim(t.Context(), claims, lease)
				if errs[i] = err; err == nil {
					replies[i] = got[0].Reply
				}
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		execution := b.execution(t, message.Execution)
		require.NotNil(t, execution.StartedAt)
		for i, reply := range replies {
			require.Equal(t, attune.ExecutionRunning, reply.Status)
			require.Equal(t, string(rune('a'+i)) == execution.Worker, reply.Granted)
		}
	})

	t.Run("the winner can repeat its claim while it runs", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		message := b.requested(t, 1)[0]
		require.True(t, b.claim(t, message, "worker-1").Granted)
		started := b.execution(t, message.Execution).StartedAt
		require.True(t, b.claim(t, message, "worker-1").Granted)
		require.False(t, b.claim(t, message, "two").Granted)
		require.Equal(t, started, b.execution(t, message.Execution).StartedAt)

		b.finish(t, reportOf(message))
		reply := b.claim(t, message, "worker-1")
		require.False(t, reply.Granted)
		require.Equal(t, attune.ExecutionSucceeded, reply.Status)
	})

	t.Run("replies keep the order of a batch, and its first claim wins", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		messages := b.requested(t, 2)
		old := claimOf(messages[1], "late")
		old.Attempt = 2
		unknown := claimOf(messages[1], "one")
		unknown.Execution = 4711
		decisions, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{
			old, claimOf(messages[1], "one"), claimOf(messages[0], "two"), claimOf(messages[1], "two"), unknown,
		}, lease)
		require.NoError(t, err)
		x0, x1 := messages[0].Execution, messages[1].Execution
		require.Empty(t, cmp.Diff([]attune.ExecutionClaimReply{
			{Execution: x1, Attempt: 2, Status: attune.ExecutionRunning},
			{Execution: x1, Attempt: 1, Status: attune.ExecutionRunning, Granted: true, Lease: attune.Duration(lease)},
			{Execution: x0, Attempt: 1, Status: attune.ExecutionRunning, Granted: true, Lease: attune.Duration(lease)},
			{Execution: x1, Attempt: 1, Status: attune.ExecutionRunning},
			{Execution: 4711, Attempt: 1},
		}, repliesOf(decisions)))
	})

	t.Run("an invalid claim is refused", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		for _, spoil := range []func(*attune.ExecutionClaimMessage){
			func(m *attune.ExecutionClaimMessage) { m.Execution = 0 }, func(m *attune.ExecutionClaimMessage) { m.Attempt = 0 },
			func(m *attune.ExecutionClaimMessage) { m.Worker = "" }, func(m *attune.ExecutionClaimMessage) { m.Serial = 0 },
			func(m *attune.ExecutionClaimMessage) { m.ReplyKey = nil }, func(m *attune.ExecutionClaimMessage) { m.Key = attune.WorkerKey{} },
		} {
			claim := claimOf(attune.ExecutionRequestedMessage{Execution: 1, Attempt: 1}, "one")
			spoil(&claim)
			_, err := b.executions.Claim(t.Context(), []attune.ExecutionClaimMessage{claim}, lease)
			requireCode(t, attune.CodeInvalid, err, attune.KeyExecutionClaim)
		}
	})
}

func TestExecutions_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := b.requested(t, 3)
	require.True(t, b.claim(t, messages[1], "one").Granted)
	report := reportOf(messages[2])
	report.Stdout, report.Stderr, report.Result = "out", "err", []byte(`{"a":1}`)
	b.finish(t, report)
	x0, x1, x2 := messages[0].Execution, messages[1].Execution, messages[2].Execution

	tests := []struct {
		name   string
		filter attune.ExecutionFilter
		page   attune.Page
		want   []attune.ExecutionID
	}{
		{name: "no filter returns all, newest first", want: []attune.ExecutionID{x2, x1, x0}},
		{name: "the enforcement filters", filter: attune.ExecutionFilter{Enforcement: messages[1].Enforcement}, want: []attune.ExecutionID{x1}},
		{name: "the action filters", filter: attune.ExecutionFilter{Action: deploy}, want: []attune.ExecutionID{x2, x1, x0}},
		{name: "another action returns none", filter: attune.ExecutionFilter{Action: notify}},
		{name: "the queue filters, with a page", filter: attune.ExecutionFilter{Queue: queueKey}, page: attune.Page{Before: int64(x2), Limit: 1}, want: []attune.ExecutionID{x1}},
		{name: "the status filters", filter: attune.ExecutionFilter{Status: attune.ExecutionSucceeded}, want: []attune.ExecutionID{x2}},
		{name: "the worker filters", filter: attune.ExecutionFilter{Worker: "one"}, want: []attune.ExecutionID{x1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			executions, err := b.executions.List(t.Context(), test.filter, test.page)
			require.NoError(t, err)
			var got []attune.ExecutionID
			for _, execution := range executions {
				got = append(got, execution.ID)
				want := b.execution(t, execution.ID)
				want.Stdout, want.Stderr, want.Result = "", "", nil // only Get reads them
				require.Empty(t, cmp.Diff(want, execution))
			}
			require.Equal(t, test.want, got)
		})
	}
	_, err := b.executions.Get(t.Context(), 4711)
	requireCode(t, attune.CodeNotFound, err, "4711")
}

// TestExecutions_HoldsCompare checks that hold times use PostgreSQL's clock only, so that they are comparable.
func TestExecutions_HoldsCompare(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var lastEnd time.Time
	for _, ticket := range b.admit(t, b.created(t, deploy, 5)...) {
		message := b.request(t, ticket)
		report := reportOf(message)
		report.FinishedAt = time.Unix(0, 0) // the worker's clock is wrong
		b.finish(t, report)
		execution := b.execution(t, message.Execution)
		require.False(t, execution.RequestedAt.Before(lastEnd))
		require.False(t, execution.FinishedAt.Before(execution.RequestedAt))
		lastEnd = *execution.FinishedAt
	}
}
