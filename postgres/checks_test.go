package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// exec changes the database directly.
func (b *bundle) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	_, err := b.conn(t).Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

func TestQueues_Leaks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := b.requested(t, 5)
	require.True(t, b.claim(t, messages[1], "worker-1").Granted)
	b.finish(t, reportOf(messages[2]))
	none, err := b.queues.Leaks(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, none)

	b.exec(t, `UPDATE executions SET status = 'failed', finished_at = clock_timestamp() WHERE id = $1`, messages[3].Execution)
	b.exec(t, `DELETE FROM executions WHERE id = $1`, messages[4].Execution)
	leaks, err := b.queues.Leaks(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Leak{
		{
			Queue: queueKey, Enforcement: messages[3].Enforcement, Sequence: 4, Execution: messages[3].Execution,
			GrantedAt: *b.enforcement(t, messages[3].Enforcement).GrantedAt, Status: attune.ExecutionFailed,
		},
		{
			Queue: queueKey, Enforcement: messages[4].Enforcement, Sequence: 5,
			GrantedAt: *b.enforcement(t, messages[4].Enforcement).GrantedAt,
		},
	}, leaks))
	young, err := b.queues.Leaks(t.Context(), time.Hour)
	require.NoError(t, err)
	require.Empty(t, young)
}

func TestQueues_Stalls(t *testing.T) {
	t.Parallel()
	limits := func(n int) string { return fmt.Sprintf(`UPDATE queues SET policy = '{"revision": 1, "limit": %d}'`, n) }
	tests := []struct {
		name   string
		change string // after the deploy queue has granted one of three, long ago
		stalls bool
	}{
		{name: "a queue with a free slot stalls", change: limits(2), stalls: true},
		{name: "a draining queue stalls", change: limits(2) + `, mode = 'draining'`, stalls: true},
		{name: "a queue with a slot under a manual limit stalls", change: `UPDATE queues SET override_limit = 2`, stalls: true},
		{name: "a paused queue does not stall", change: limits(2) + `, mode = 'paused'`},
		{name: "a full queue does not stall", change: limits(1)},
		{name: "a queue whose action is full does not stall", change: limits(2) + ofAction("limit", 1)},
		{name: "a queue whose action has room stalls", change: limits(2) + ofAction("limit", 2), stalls: true},
		{name: "a queue whose lane is full does not stall", change: limits(2) + ofAction("limit_per_key", 1)},
		{
			name:   "a queue with a free lane does not stall while only the first may start",
			change: limits(2) + ofAction("limit_per_key", 1) + anotherLane,
		},
		{
			name:   "a queue with a free lane that may pass stalls",
			change: limits(2) + ofAction("limit_per_key", 1) + anotherLane + `; UPDATE queues SET policy = jsonb_set(policy::jsonb, '{across}', '"skip"')::json`, stalls: true,
		},
		{
			name: "a lane that a manual limit fills does not stall",
			change: limits(2) + ofAction("limit_per_key", 1) + anotherLane + `; UPDATE queues SET policy = jsonb_set(policy::jsonb, '{across}', '"skip"')::json;
				UPDATE lanes SET override_limit = 0`,
		},
		{name: "a queue that a manual limit fills does not stall", change: limits(2) + `, override_limit = 1`},
		{name: "a manual limit expired a moment ago", change: limits(2) + `, override_limit = 1, override_until = clock_timestamp()`},
		{
			name:   "a manual limit expired long ago",
			change: limits(2) + `, override_limit = 1, override_until = clock_timestamp() - interval '2 hours'`, stalls: true,
		},
		{name: "the queue granted a moment ago", change: limits(2) + `; UPDATE grants SET requested_at = clock_timestamp()`},
		{name: "a slot became free a moment ago", change: limits(2) + `, freed_at = clock_timestamp()`},
		{name: "the first ticket arrived a moment ago", change: limits(2) + `; UPDATE enforcements SET queued_at = clock_timestamp() WHERE status = 'queued'`},
		{
			name: "no ticket waits",
			change: limits(2) + `; UPDATE enforcements SET status = 'expired', reason = 'queue_timeout', encrypted = NULL,
				finished_at = clock_timestamp() WHERE status = 'queued'`,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			tickets := b.admit(t, b.created(t, deploy, 3)...)
			b.request(t, tickets[0])
			b.exec(t, shifted(`- interval '1 day'`))
			b.exec(t, test.change)

			stalls, err := b.queues.Stalls(t.Context(), time.Hour)
			require.NoError(t, err)
			if !test.stalls {
				require.Empty(t, stalls)
				return
			}
			logged := b.grants(t, attune.Page{})
			require.Empty(t, cmp.Diff([]attune.Stall{{
				Queue: queueKey, Limit: 2, Active: 1, Waiting: 2, LastGrantAt: &logged[0].RequestedAt,
				OldestWaiting: *b.enforcement(t, tickets[1].Enforcement).QueuedAt,
			}}, stalls))
		})
	}
}

// ofAction is a statement that sets a field of the action in the policy of every queue.
func ofAction(field string, value int) string {
	return fmt.Sprintf(`; UPDATE queues SET policy = jsonb_set(policy::jsonb, '{actions}',
		jsonb_build_array(jsonb_build_object('action', action_id, '%s', %d)))::json`, field, value)
}

// anotherLane moves the last enforcement to a lane of its own.
const anotherLane = `; INSERT INTO lanes (queue_id, number, name) SELECT id, 1, '=a' FROM queues;
	UPDATE enforcements SET lane = 1, lane_name = '=a' WHERE sequence = 3`

// TestQueues_StallsAfterWhatFreesASlot makes a queue stall, and then frees a slot: the queue is no longer stalled.
func TestQueues_StallsAfterWhatFreesASlot(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, b *bundle, active attune.ExecutionRequestedMessage){
		"an execution ends": func(t *testing.T, b *bundle, active attune.ExecutionRequestedMessage) {
			t.Helper()
			b.finish(t, reportOf(active))
		},
		"the policy changes": func(t *testing.T, b *bundle, _ attune.ExecutionRequestedMessage) {
			t.Helper()
			b.sayGlobally(t, attune.Policy{Limit: new(5)})
			_, err := b.queues.ApplyPolicies(t.Context())
			require.NoError(t, err)
		},
		"a person changes the queue": func(t *testing.T, b *bundle, _ attune.ExecutionRequestedMessage) {
			t.Helper()
			b.control(t, attune.QueueOpen, nil, modeChange(1, attune.QueuePaused, attune.QueueOpen))
		},
	}
	for name, free := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.sayGlobally(t, attune.Policy{Limit: new(2)})
			active := b.request(t, b.admit(t, b.created(t, deploy, 2)...)[0])
			b.exec(t, shifted(`- interval '1 day'`))
			stalls, err := b.queues.Stalls(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Len(t, stalls, 1)

			// An arrival behind the first in line frees nothing.
			b.admit(t, b.created(t, deploy, 1)...)
			stalls, err = b.queues.Stalls(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Len(t, stalls, 1)

			free(t, b, active)
			stalls, err = b.queues.Stalls(t.Context(), time.Hour)
			require.NoError(t, err)
			require.Empty(t, stalls)
			stalls, err = b.queues.Stalls(t.Context(), 0)
			require.NoError(t, err)
			require.Len(t, stalls, 1)
		})
	}
}

func TestQueues_Unadmitted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ids := b.created(t, deploy, 4)
	b.exec(t, shifted(`- interval '1 day'`))
	unadmitted := func(olderThan time.Duration) []attune.Unadmitted {
		found, err := b.queues.Unadmitted(t.Context(), olderThan)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, unadmitted(time.Minute), "their messages are in the outbox")

	// The messages of all but the second enforcement are published, and the first enforcement is admitted.
	b.exec(t, `DELETE FROM outbox WHERE message_id <> $1`, attune.EnforcementCreatedMessage{Enforcement: ids[1]}.MessageID())
	b.admit(t, ids[0])
	require.Equal(t, []attune.Unadmitted{{Queue: queueKey, Count: 2, Oldest: ids[2], Since: b.enforcement(t, ids[2]).CreatedAt}},
		unadmitted(time.Minute))
	require.Empty(t, unadmitted(48*time.Hour))

	b.admit(t, ids...)
	require.Empty(t, unadmitted(time.Minute))
}

func TestQueues_Overdue(t *testing.T) {
	t.Parallel()
	b := setup(t)
	messages := b.requested(t, 5)
	for _, i := range []int{1, 2, 3} {
		require.True(t, b.claim(t, messages[i], "worker-1").Granted)
	}
	b.finish(t, reportOf(messages[3]))
	none, err := b.queues.Overdue(t.Context(), 0, time.Minute)
	require.NoError(t, err)
	require.Empty(t, none)

	// Two executions run, one of them for longer than its timeout and the grace. Two were requested, one of them long ago.
	b.exec(t, `UPDATE executions SET requested_at = requested_at - interval '1 hour', started_at = started_at - interval '1 hour',
		cancel_requested_at = clock_timestamp() WHERE id = $1`, messages[1].Execution)
	b.exec(t, `UPDATE executions SET requested_at = requested_at - interval '2 minutes', started_at = started_at - interval '2 minutes'
		WHERE id = $1`, messages[2].Execution)
	b.exec(t, `UPDATE executions SET requested_at = requested_at - interval '2 hours' WHERE id = $1`, messages[0].Execution)
	overdue, err := b.queues.Overdue(t.Context(), 5*time.Minute, time.Hour)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Overdue{
		{
			Queue: queueKey, Enforcement: messages[0].Enforcement, Execution: messages[0].Execution, Attempt: 1,
			Status: attune.ExecutionRequested, Pool: "default", Timeout: attune.Duration(time.Minute),
			Since: b.execution(t, messages[0].Execution).RequestedAt,
		},
		{
			Queue: queueKey, Enforcement: messages[1].Enforcement, Execution: messages[1].Execution, Attempt: 1,
			Status: attune.ExecutionRunning, Worker: "worker-1", Pool: "default", Timeout: attune.Duration(time.Minute),
			Since: *b.execution(t, messages[1].Execution).StartedAt, CancelRequested: true,
		},
	}, overdue))
}

func TestQueues_ManualOverrides(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.admit(t, b.created(t, deploy, 1)...)
	none, err := b.queues.ManualOverrides(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)

	until := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	paused := modeChange(2, attune.QueueOpen, attune.QueuePaused)
	limited := attune.QueueChange{Number: 1, At: paused.At, Author: authorNamed("ada", "rush"), Kind: attune.ChangeLimit, From: "1", To: "5"}
	b.control(t, attune.QueuePaused, &attune.LimitOverride{Limit: 5, Until: until}, limited, paused)
	set, err := b.queues.ManualOverrides(t.Context())
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.ManualOverride{{
		Queue: queueKey, Mode: attune.QueuePaused, Override: &attune.LimitOverride{Limit: 5, Until: until},
		ModeBy:  &attune.QueueChange{Author: paused.Author, At: paused.At, Kind: attune.ChangeMode},
		LimitBy: &attune.QueueChange{At: limited.At, Author: authorNamed("ada", "rush"), Kind: attune.ChangeLimit},
	}}, set))

	b.exec(t, `UPDATE queues SET mode = 'open', override_until = clock_timestamp()`)
	none, err = b.queues.ManualOverrides(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
}

// TestQueues_LeaksOfRetries creates a retry whose next attempt is never requested.
func TestQueues_LeaksOfRetries(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	ticket, message := b.runFirst(t)
	require.Equal(t, attune.CompletionRetrying, b.fail(t, message).Effect)
	b.exec(t, shifted(`- interval '1 day'`))
	none, err := b.queues.Leaks(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Empty(t, none, "its next attempt is not due yet")

	b.exec(t, `UPDATE executions SET retry_at = clock_timestamp() - interval '1 hour'`)
	leaks, err := b.queues.Leaks(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.Leak{{
		Queue: queueKey, Enforcement: ticket.Enforcement, Sequence: 1, Execution: message.Execution,
		GrantedAt: *b.enforcement(t, ticket.Enforcement).GrantedAt, Status: attune.ExecutionRetrying,
	}}, leaks))

	_, err = b.executions.Cancel(t.Context(), message.Execution, ada)
	require.NoError(t, err)
	none, err = b.queues.Leaks(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Empty(t, none, "cancelled, it gives its slot back")
}

func TestQueues_Parked(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryPark)
	none, err := b.queues.Parked(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)
	first, _ := b.parked(t)
	second := b.admit(t, b.created(t, deploy, 1)...)[0]
	require.Equal(t, attune.CompletionParked, b.fail(t, b.run(t, grant(second))).Effect)
	parked, err := b.queues.Parked(t.Context())
	require.NoError(t, err)
	require.Equal(t, []attune.ParkedCount{{Queue: queueKey, Count: 2, Oldest: first.Enforcement}}, parked)
	leaks, err := b.queues.Leaks(t.Context(), 0)
	require.NoError(t, err)
	require.Empty(t, leaks, "what is parked holds no slot")
}
