package postgres_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// happened is every time of every row that has more than one, in the order in which they happen. granted_at of the log is of
// another clock, so it has no order with the others.
var happened = map[string][]string{
	"enforcements":       {"created_at", "queued_at", "granted_at", "finished_at"},
	"executions":         {"requested_at", "started_at", "cancel_requested_at", "finished_at"},
	"execution_attempts": {"started_at", "finished_at"},
	"grants":             {"queued_at", "requested_at", "released_at"},
}

// shifted moves everything that has happened by an interval, for example "+ interval '1 hour'". Leases and other deadlines
// stay.
func shifted(by string) string {
	columns := map[string][]string{
		"events": {"received_at"}, "queues": {"last_queued_at", "freed_at", "updated_at"}, "outbox": {"created_at"},
	}
	maps.Copy(columns, happened)
	var sql strings.Builder
	for table, times := range columns {
		var sets []string
		for _, column := range times {
			sets = append(sets, fmt.Sprintf("%s = %s %s", column, column, by))
		}
		fmt.Fprintf(&sql, "UPDATE %s SET %s;\n", table, strings.Join(sets, ", "))
	}
	return sql.String()
}

func TestTimes_RejectedAtAcceptance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for range 100 {
		recorded, err := b.events.Record(t.Context(), pushEvent(), func(e attune.Event, candidates []attune.Candidate) []attune.Decision {
			decisions := accept(e, candidates)
			decisions[0].Status, decisions[0].Reason = attune.EnforcementRejected, attune.ReasonCriteriaFailed
			return decisions
		})
		require.NoError(t, err)
		rejected := recorded.Enforcements[0]
		require.Equal(t, rejected.CreatedAt, *rejected.FinishedAt, "it ends when it begins")
		require.False(t, rejected.CreatedAt.Before(recorded.Event.ReceivedAt))
	}
}

// TestTimes_AdmittedAtOnce accepts enforcements in the millisecond of their creation: places have whole milliseconds.
func TestTimes_AdmittedAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.created(t, deploy, 1)
	b.exec(t, `UPDATE enforcements SET created_at = date_trunc('milliseconds', clock_timestamp()) + interval '1 hour 300 microseconds'`)
	ticket := b.admit(t, 1)[0]
	enforcement := b.enforcement(t, 1)
	require.Equal(t, 700*time.Microsecond, enforcement.QueuedAt.Sub(enforcement.CreatedAt))
	require.Equal(t, ticket.EnqueuedAt, *enforcement.QueuedAt)
	b.created(t, deploy, 1)
	require.False(t, b.admit(t, 2)[0].EnqueuedAt.Before(ticket.EnqueuedAt), "the line goes by the places")
}

// TestTimes_QueueWithAnotherClock acts upon grants of a queue whose clock is an hour behind, and an hour ahead. The log has
// the time of the queue, and the row of the enforcement one that fits the others.
func TestTimes_QueueWithAnotherClock(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, off := range []time.Duration{-time.Hour, time.Hour} {
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		given := grant(ticket)
		given.GrantedAt = given.GrantedAt.Add(off)
		message := b.run(t, given)
		b.finish(t, reportOf(message))
		e := b.enforcement(t, ticket.Enforcement)
		require.WithinRange(t, *e.GrantedAt, *e.QueuedAt, *e.FinishedAt)
		require.Equal(t, given.GrantedAt, b.grants(t, attune.Page{Limit: 1})[0].GrantedAt)
	}
}

// TestTimes_ClockSetBack makes random changes while the database's clock is set back by an hour repeatedly. No change fails,
// and the times of every row stay in order.
func TestTimes_ClockSetBack(t *testing.T) {
	t.Parallel()
	w := newWalk(t, 20)
	b := w.bundle
	conn := b.conn(t)
	random := rand.New(rand.NewPCG(11, 13))
	for range 60 {
		_, err := conn.Exec(context.WithoutCancel(t.Context()), shifted(`+ interval '1 hour'`))
		require.NoError(t, err)
		require.NoError(t, w.act(t.Context(), random, 20))
	}
	for table, times := range happened {
		for i, later := range times {
			for _, earlier := range times[:i] {
				require.Zero(t, b.count(t, fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s > %s`, table, earlier, later)),
					"%s: %s is after %s", table, earlier, later)
			}
			require.Positive(t, b.count(t, fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s IS NOT NULL`, table, later)),
				"%s.%s: the walk has not come there", table, later)
		}
	}
}

// TestTimes_AreHeld checks that the tables refuse times in the wrong order, which no method writes.
func TestTimes_AreHeld(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryHold)
	ticket, first := b.runFirst(t)
	require.Equal(t, attune.CompletionRetrying, b.fail(t, first).Effect)
	second := b.nextGrant(t, ticket)
	second.Attempt = 2
	message := b.run(t, second)
	_, err := b.executions.Cancel(t.Context(), message.Execution, ada)
	require.NoError(t, err)
	b.finish(t, failed(message))
	conn := b.conn(t)
	for table, times := range happened {
		for i, later := range times {
			for _, earlier := range times[:i] {
				require.Positive(t, b.count(t, fmt.Sprintf(`SELECT count(*) FROM %s WHERE %s <= %s`, table, earlier, later)),
					"%s.%s: nothing to spoil", table, later)
				_, err := conn.Exec(t.Context(), fmt.Sprintf(`UPDATE %s SET %s = %s - interval '1 microsecond'`, table, later, earlier))
				require.ErrorContains(t, err, table+"_times", "%s before %s", later, earlier)
			}
		}
	}
}
