package postgres_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/policy"
	"github.com/attune-go/attune/postgres"
)

// inLanes makes one enforcement of an action in each lane, and returns their ids in ascending order.
func (b *bundle) inLanes(t testing.TB, action attune.Ref, lanes ...attune.LaneName) []attune.EnforcementID {
	t.Helper()
	declared, err := b.packs.Action(t.Context(), action)
	require.NoError(t, err)
	ids := make([]attune.EnforcementID, len(lanes))
	for i, lane := range lanes {
		decision := decisionTo(declared)
		decision.Lane = lane
		ids[i] = b.decide(t, decision).ID
	}
	return ids
}

// lanes returns the names of the lanes of a queue, in the order of their numbers.
func (b *bundle) lanes(t testing.TB, key attune.QueueKey) []attune.LaneName {
	t.Helper()
	rows, err := b.conn(t).Query(t.Context(),
		`SELECT l.number, l.name, q.last_lane FROM lanes l JOIN queues q ON q.id = l.queue_id WHERE q.key = $1 ORDER BY l.number`, key)
	require.NoError(t, err)
	var names []attune.LaneName
	var number, last int
	var name attune.LaneName
	_, err = pgx.ForEachRow(rows, []any{&number, &name, &last}, func() error {
		names = append(names, name)
		require.Len(t, names, number, "lanes are numbered from 1 without gaps")
		return nil
	})
	require.NoError(t, err)
	require.Len(t, names, last)
	return names
}

func lanesOf(tickets []attune.Ticket) []int32 {
	lanes := make([]int32, len(tickets))
	for i, ticket := range tickets {
		lanes[i] = ticket.Lane
	}
	return lanes
}

func TestEnforcements_AdmitLanes(t *testing.T) {
	t.Parallel()

	t.Run("lanes are numbered in the order of their first enforcements", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := b.inLanes(t, deploy, attune.LaneOf("b"), attune.NoLane, "", attune.LaneOf("a"), attune.LaneOf("b"), attune.LaneOf(""))
		for _, id := range ids {
			require.Zero(t, b.enforcement(t, id).Lane, "before its place it has no number")
		}
		require.Equal(t, attune.LaneOf("b"), b.enforcement(t, ids[0]).LaneName)
		require.Empty(t, b.lanes(t, queueKey))

		tickets := b.admit(t, ids...)
		require.Equal(t, []int32{1, 2, 0, 3, 1, 4}, lanesOf(tickets))
		want := []attune.LaneName{attune.LaneOf("b"), attune.NoLane, attune.LaneOf("a"), attune.LaneOf("")}
		require.Equal(t, want, b.lanes(t, queueKey))
		for i, id := range ids {
			require.Equal(t, tickets[i].Lane, b.enforcement(t, id).Lane)
		}
		require.Equal(t, tickets, b.admit(t, ids...), "a repeated call returns the same tickets")
		require.Equal(t, want, b.lanes(t, queueKey))

		// Later enforcements find the lanes. The order of the ids counts, not that of the names or of the rows.
		later := b.inLanes(t, deploy, attune.LaneOf("z"), attune.LaneOf("a"), attune.LaneOf("y"), attune.NoLane)
		require.Equal(t, []int32{2, 5, 3, 6}, lanesOf(b.admit(t, later[3], later[2], later[1], later[0])))
		require.Equal(t, append(want, attune.LaneOf("y"), attune.LaneOf("z")), b.lanes(t, queueKey))
	})

	t.Run("each queue has lanes of its own", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ids := slices.Concat(
			b.inLanes(t, notify, attune.LaneOf("a"), attune.LaneOf("b")), b.inLanes(t, deploy, attune.LaneOf("b"), attune.LaneOf("a")))
		_, err := b.enforcements.Admit(t.Context(), ids)
		require.NoError(t, err)
		require.Equal(t, []attune.LaneName{attune.LaneOf("b"), attune.LaneOf("a")}, b.lanes(t, queueKey))
		require.Equal(t, []attune.LaneName{attune.LaneOf("a"), attune.LaneOf("b")}, b.lanes(t, attune.QueueKey(notify)))
		require.Equal(t, []int32{1, 2, 1, 2}, []int32{
			b.enforcement(t, ids[0]).Lane, b.enforcement(t, ids[1]).Lane, b.enforcement(t, ids[2]).Lane, b.enforcement(t, ids[3]).Lane,
		})
	})

	t.Run("a text is any text that PostgreSQL can store", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		names := []attune.LaneName{
			attune.LaneOf("-"), attune.NoLane, attune.LaneOf("(none)"), attune.LaneOf("A"), attune.LaneOf("a"), attune.LaneOf("a "),
			attune.LaneOf(strings.Repeat("é", attune.MaxLaneText/2)), attune.LaneOf("\u00e9"), attune.LaneOf("e\u0301"), attune.LaneOf("a\nb\x01"),
		}
		b.admit(t, b.inLanes(t, deploy, names...)...)
		require.Equal(t, names, b.lanes(t, queueKey), "equal bytes are one lane, and nothing else is")
	})

	t.Run("the enforcement of a disabled action gets no lane", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.inLanes(t, notify, attune.LaneOf("a"))[0]
		pack := demoPack()
		pack.Digest, pack.Actions = "demo-2", pack.Actions[:1]
		b.install(t, pack)
		_, err := b.enforcements.Admit(t.Context(), []attune.EnforcementID{id})
		require.NoError(t, err)
		rejected := b.enforcement(t, id)
		require.Equal(t, attune.EnforcementRejected, rejected.Status)
		require.Equal(t, attune.LaneOf("a"), rejected.LaneName)
		require.Zero(t, rejected.Lane)
		require.Empty(t, b.lanes(t, attune.QueueKey(notify)))
	})
}

// Two processes admit enforcements of the same lanes at once, in overlapping batches and opposite orders.
func TestEnforcements_AdmitLanesConcurrently(t *testing.T) {
	t.Parallel()
	b := setup(t)
	other := open(t, postgres.Config{URL: b.url, MaxConns: 12})
	const each, texts = 60, 17
	var ids []attune.EnforcementID
	for _, action := range []attune.Ref{deploy, notify} {
		names := make([]attune.LaneName, each)
		for i := range names {
			names[i] = attune.LaneOf(fmt.Sprint(i % texts))
		}
		ids = append(ids, b.inLanes(t, action, names...)...)
	}
	backwards := slices.Clone(ids)
	slices.Reverse(backwards)
	var admits []func() error
	for process, order := range map[*bundle][]attune.EnforcementID{b: ids, other: backwards} {
		for batch := range slices.Chunk(order, 11) {
			admits = append(admits, func() error {
				_, err := process.enforcements.Admit(t.Context(), batch)
				return err
			})
		}
	}
	errs := make([]error, len(admits))
	var wg sync.WaitGroup
	for i, admit := range admits {
		wg.Go(func() { errs[i] = admit() })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))

	for _, key := range []attune.QueueKey{queueKey, attune.QueueKey(notify)} {
		names := b.lanes(t, key)
		require.Len(t, names, texts)
		enforcements, err := b.enforcements.List(t.Context(), attune.EnforcementFilter{Queue: key}, attune.Page{Limit: each})
		require.NoError(t, err)
		require.Len(t, enforcements, each)
		for _, e := range enforcements {
			require.Equal(t, e.LaneName, names[e.Lane-1], "the number is that of the name")
		}
	}
}

// TestQueues_Lanes follows the lane and the action of an enforcement to everything that names its ticket.
func TestQueues_Lanes(t *testing.T) {
	t.Parallel()
	b := setupRetries(t, attune.RetryBack)
	ids := b.inLanes(t, deploy, attune.LaneOf("a"), attune.LaneOf("b"))
	tickets := b.admit(t, ids...)
	require.Equal(t, []int32{1, 2}, lanesOf(tickets))
	action := b.enforcement(t, ids[0]).ActionID
	require.Equal(t, []attune.ActionID{action, action}, []attune.ActionID{tickets[0].Action, tickets[1].Action})

	inRange, err := b.queues.Tickets(t.Context(), queueKey, 1, 2)
	require.NoError(t, err)
	require.Equal(t, tickets, inRange)
	still, err := b.queues.StillWaiting(t.Context(), queueKey, tickets)
	require.NoError(t, err)
	require.Equal(t, tickets, still)
	given := grant(tickets[0])
	given.Freed = []int64{3, 1}
	message := b.run(t, given)
	require.Equal(t, given, b.grants(t, attune.Page{})[0].Grant)
	snapshot := b.rebuild(t)
	given.Generation, given.GrantedAt = 1, snapshot.Holders[0].GrantedAt
	require.Equal(t, []attune.Grant{given}, snapshot.Holders)
	require.Equal(t, tickets[1:], snapshot.Waiting)
	ended, waiting, err := b.enforcements.Inspect(t.Context(), queueKey, []attune.Grant{grant(tickets[1])})
	require.NoError(t, err)
	require.Empty(t, ended)
	require.Equal(t, tickets[1:], waiting)
	lost, err := b.queues.Record(t.Context(), queueKey, attune.QueueDecisions{Settlements: []attune.Settlement{
		{Ticket: tickets[0], Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout},
	}})
	require.NoError(t, err)
	require.Equal(t, given.Ticket, lost[0].Ticket)
	require.Equal(t, []int64{3, 1}, lost[0].Freed)

	requeued := b.fail(t, message)
	require.Equal(t, attune.CompletionRequeued, requeued.Effect)
	require.EqualValues(t, 1, requeued.Ticket.Lane, "at the back it is in its lane still")
	require.Equal(t, action, requeued.Ticket.Action)
	again := b.admit(t, ids[0])
	require.Equal(t, requeued.Ticket, again[0])
	require.Len(t, b.lanes(t, queueKey), 2)
	b.run(t, b.nextGrant(t, again[0]))
	require.EqualValues(t, 1, b.grants(t, attune.Page{})[0].Lane)
}

// TestQueues_PolicyJournal follows the policies of a queue: every revision is recorded once, as it was.
func TestQueues_PolicyJournal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var want []attune.QueuePolicy
	requireJournal := func() {
		t.Helper()
		rows, err := b.conn(t).Query(t.Context(), `SELECT j.revision, j.policy FROM queue_policies j
			JOIN queues q ON q.id = j.queue_id WHERE q.key = 'demo.deploy' AND j.at BETWEEN q.freed_at - interval '1 hour' AND q.freed_at
			ORDER BY j.revision`)
		require.NoError(t, err)
		var got []attune.QueuePolicy
		var revision int64
		var document []byte
		_, err = pgx.ForEachRow(rows, []any{&revision, &document}, func() error {
			var p attune.QueuePolicy
			require.NoError(t, json.Unmarshal(document, &p))
			require.Equal(t, revision, p.Revision)
			got = append(got, p)
			return nil
		})
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(want, got))
	}

	ids := b.created(t, deploy, 4)
	requireJournal() // the queue exists, and has no policy before its first use
	b.admit(t, ids[0])
	want = append(want, b.ownQueue(t, 1, policy.Defaults()))
	requireJournal()
	b.admit(t, ids[1]) // nothing has changed
	requireJournal()

	effective := policy.Defaults()
	effective.Limit = 7
	b.sayGlobally(t, attune.Policy{Limit: new(7)})
	b.admit(t, ids[2], ids[3])
	want = append(want, b.ownQueue(t, 2, effective))
	requireJournal()

	effective.Limit = 8
	b.sayGlobally(t, attune.Policy{Limit: new(8)})
	for range 2 {
		_, err := b.queues.ApplyPolicies(t.Context())
		require.NoError(t, err)
	}
	want = append(want, b.ownQueue(t, 3, effective))
	requireJournal()

	effective.Limit = 7 // the same policy as before is a revision of its own
	b.sayGlobally(t, attune.Policy{Limit: new(7)})
	b.rebuild(t)
	want = append(want, b.ownQueue(t, 4, effective))
	requireJournal()
	b.rebuild(t)
	requireJournal()

	newest, err := b.queues.QueuePolicies(t.Context(), "demo.deploy", attune.Page{Limit: 2})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.QueuePolicy{want[3], want[2]}, newest))
	next, err := b.queues.QueuePolicies(t.Context(), "demo.deploy", attune.Page{Limit: 2, Before: 3})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]attune.QueuePolicy{want[1], want[0]}, next))
	none, err := b.queues.QueuePolicies(t.Context(), "demo.other", attune.Page{})
	require.NoError(t, err)
	require.Empty(t, none)
}
