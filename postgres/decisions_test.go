package postgres_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func modeChange(number int64, from, to attune.QueueMode) attune.QueueChange {
	return attune.QueueChange{
		Number: number, Request: fmt.Sprintf("request %d", number), At: time.Now().UTC().Truncate(time.Microsecond), Author: authorNamed("ana", "maintenance"),
		Kind: attune.ChangeMode, From: string(from), To: string(to),
	}
}

// control records changes, mode and override of the current generation of the deploy queue.
func (b *bundle) control(t *testing.T, mode attune.QueueMode, override *attune.LimitOverride, changes ...attune.QueueChange) {
	t.Helper()
	generation := b.count(t, "SELECT COALESCE(max(generation), 0) FROM queues WHERE key = '"+string(queueKey)+"'")
	for i := range changes {
		changes[i].Request = cmp.Or(changes[i].Request, fmt.Sprintf("request %d", changes[i].Number))
	}
	control := attune.QueueControl{Generation: generation, Mode: mode, Override: override, Changes: changes}
	require.NoError(t, b.recordControl(t, queueKey, control))
}

// recordEnds records settlements.
func (b *bundle) recordEnds(ctx context.Context, key attune.QueueKey, settlements []attune.Settlement) ([]attune.Grant, error) {
	return b.queues.Record(ctx, key, attune.QueueDecisions{Settlements: settlements})
}

func (b *bundle) recordControl(t *testing.T, key attune.QueueKey, control attune.QueueControl) error {
	t.Helper()
	held, err := b.queues.Record(t.Context(), key, attune.QueueDecisions{Control: control})
	require.Empty(t, held)
	return err
}

func (b *bundle) changes(t *testing.T, page attune.Page) []attune.QueueChange {
	t.Helper()
	changes, err := b.queues.Changes(t.Context(), queueKey, page)
	require.NoError(t, err)
	return changes
}

func TestQueues_RecordChanges(t *testing.T) {
	t.Parallel()

	t.Run("every change is kept", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		require.Empty(t, b.changes(t, attune.Page{}))
		pause := modeChange(1, attune.QueueOpen, attune.QueuePaused)
		limit := attune.QueueChange{Number: 2, Request: "b", At: pause.At, Author: authorNamed("bo", ""), Kind: attune.ChangeLimit, From: "1", To: "7"}
		cancel := attune.QueueChange{
			Number: 3, Request: "c", At: pause.At, Author: authorNamed("bo", ""), Kind: attune.ChangeCancel, From: "queued", To: "granted",
			Enforcement: ticket.Enforcement,
		}
		override := &attune.LimitOverride{Limit: 7, Until: pause.At.Add(time.Hour)}
		b.control(t, attune.QueuePaused, nil, pause)
		b.control(t, attune.QueuePaused, override, limit, cancel)

		require.Empty(t, gocmp.Diff([]attune.QueueChange{cancel, limit, pause}, b.changes(t, attune.Page{})))
		require.Empty(t, gocmp.Diff([]attune.QueueChange{limit}, b.changes(t, attune.Page{Before: 3, Limit: 1})))
		snapshot := b.rebuild(t)
		require.Equal(t, attune.QueuePaused, snapshot.Mode)
		require.EqualValues(t, 3, snapshot.LastChange)
		require.Empty(t, gocmp.Diff(override, snapshot.Override))
		require.Equal(t, []attune.Ticket{ticket}, snapshot.Waiting)
	})

	t.Run("changes of an earlier generation are not recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admit(t, b.created(t, deploy, 1)...)
		gone := attune.QueueControl{
			Generation: b.rebuild(t).Generation, Mode: attune.QueuePaused,
			Changes: []attune.QueueChange{modeChange(1, attune.QueueOpen, attune.QueuePaused)},
		}
		b.rebuild(t)
		b.requireNoChange(t, func() { require.NoError(t, b.recordControl(t, queueKey, gone)) })
		drain := modeChange(1, attune.QueueOpen, attune.QueueDraining)
		b.control(t, attune.QueueDraining, nil, drain)
		require.Empty(t, gocmp.Diff([]attune.QueueChange{drain}, b.changes(t, attune.Page{})))
	})

	t.Run("repeated and late decisions change nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first, second := modeChange(1, attune.QueueOpen, attune.QueuePaused), modeChange(2, attune.QueuePaused, attune.QueueDraining)
		b.control(t, attune.QueueDraining, &attune.LimitOverride{Limit: 2}, second)
		want := b.rebuild(t)
		altered := second
		altered.Principal.Name, altered.To = "eve", "open"
		b.control(t, attune.QueueOpen, nil, altered) // its number is taken
		b.control(t, attune.QueuePaused, nil, first) // late, and recorded for the first time
		b.control(t, attune.QueuePaused, nil)        // nothing to record
		require.Empty(t, gocmp.Diff([]attune.QueueChange{second, first}, b.changes(t, attune.Page{})))
		want.Generation++
		require.Empty(t, gocmp.Diff(want, b.rebuild(t)))

		third := modeChange(3, attune.QueueDraining, attune.QueueOpen)
		b.control(t, attune.QueueOpen, nil, first, second, third) // a late start of the list, and something new
		snapshot := b.rebuild(t)
		require.Equal(t, attune.QueueOpen, snapshot.Mode)
		require.Nil(t, snapshot.Override)
		require.EqualValues(t, 3, snapshot.LastChange)
		require.Len(t, b.changes(t, attune.Page{}), 3)
	})

	t.Run("a queue can be changed before its first use", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.sayGlobally(t, attune.Policy{Limit: new(9)})
		b.control(t, attune.QueuePaused, nil, modeChange(1, attune.QueueOpen, attune.QueuePaused))
		stats := b.stats(t)
		require.Equal(t, 9, stats.MaxConcurrent, "the limit that the policies say")
		require.Zero(t, stats.TotalEnqueued)
		snapshot := b.rebuild(t)
		require.Equal(t, attune.QueuePaused, snapshot.Mode)
		require.EqualValues(t, 1, snapshot.Policy.Revision)

		require.Equal(t, []int64{1, 2}, sequencesOf(b.admit(t, b.created(t, deploy, 2)...)))
		require.Equal(t, attune.QueuePaused, b.rebuild(t).Mode)
	})

	t.Run("a manual change affects neither counters nor other queues", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 3)...)
		b.finish(t, reportOf(b.request(t, tickets[0])))
		b.request(t, tickets[1])
		before := b.stats(t)
		b.control(t, attune.QueuePaused, nil, modeChange(1, attune.QueueOpen, attune.QueuePaused))
		after := b.stats(t)
		require.True(t, after.LastUpdated.After(*before.LastUpdated))
		require.Equal(t, attune.QueuePaused, after.Mode)
		after.LastUpdated, after.Mode = before.LastUpdated, before.Mode
		require.Empty(t, gocmp.Diff(before, after))
		none, err := b.queues.Changes(t.Context(), "demo.notify", attune.Page{})
		require.NoError(t, err)
		require.Empty(t, none)
	})

	t.Run("concurrent decisions, arrivals and ends keep the counters right", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		const rounds = 12
		messages, newcomers := b.requested(t, rounds), b.created(t, deploy, rounds)
		errs := make([]error, 3*rounds)
		var wg sync.WaitGroup
		for i := range rounds {
			control := attune.QueueControl{Mode: attune.QueuePaused, Override: &attune.LimitOverride{Limit: i + 1}}
			for number := range i + 1 {
				control.Changes = append(control.Changes, modeChange(int64(number+1), attune.QueueOpen, attune.QueuePaused))
			}
			wg.Go(func() { errs[3*i] = b.recordControl(t, queueKey, control) })
			wg.Go(func() { _, errs[3*i+1] = b.enforcements.Admit(t.Context(), newcomers[i:i+1]) })
			wg.Go(func() {
				_, errs[3*i+2] = b.executions.Finish(t.Context(), []attune.ExecutionCompletedMessage{reportOf(messages[i])})
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		snapshot := b.rebuild(t)
		require.EqualValues(t, rounds, snapshot.LastChange)
		require.Equal(t, rounds, snapshot.Override.Limit, "mode and limit are those of the newest change")
		require.Len(t, b.changes(t, attune.Page{}), rounds)
		require.NoError(t, addsUp(b.stats(t)))
	})
}

func TestQueues_RecordChangesRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	change := modeChange(1, attune.QueueOpen, attune.QueuePaused)
	control := attune.QueueControl{Mode: attune.QueuePaused, Changes: []attune.QueueChange{change}}
	requireCode(t, attune.CodeNotFound, b.recordControl(t, "demo.unknown", control), `"demo.unknown"`)

	tests := map[string]struct {
		spoil    func(control *attune.QueueControl, change *attune.QueueChange)
		mentions string
	}{
		"the mode is unknown":       {func(c *attune.QueueControl, _ *attune.QueueChange) { c.Mode = "closed" }, `"closed"`},
		"the limit is negative":     {func(c *attune.QueueControl, _ *attune.QueueChange) { c.Override = &attune.LimitOverride{Limit: -1} }, "-1"},
		"the number is 0":           {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Number = 0 }, "from 1"},
		"the principal has no name": {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Principal.Name = "" }, "name is missing"},
		"the name is too long":      {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Principal.Name = strings.Repeat("x", 201) }, "201"},
		"the method is missing":     {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Principal.Method = "" }, "method"},
		"the person behind the principal has a name that is too long": {func(_ *attune.QueueControl, c *attune.QueueChange) { c.OnBehalfOf = strings.Repeat("x", 201) }, "201"},
		"the note is too long":              {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Note = strings.Repeat("x", 1001) }, "1001"},
		"the kind is unknown":               {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Kind = "colour" }, `"colour"`},
		"the note contains a NUL character": {func(_ *attune.QueueControl, c *attune.QueueChange) { c.Note = "\x00" }, "U+0000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spoiled := change
			control := attune.QueueControl{Mode: attune.QueuePaused}
			test.spoil(&control, &spoiled)
			control.Changes = []attune.QueueChange{change, spoiled}
			requireCode(t, attune.CodeInvalid, b.recordControl(t, queueKey, control), test.mentions)
			require.Empty(t, b.changes(t, attune.Page{}), "nothing of it is recorded")
		})
	}
}

func TestQueues_LimitByHand(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		override *attune.LimitOverride
		inForce  int
	}{
		{name: "the queue has no override", inForce: 1},
		{name: "the override has no end", override: &attune.LimitOverride{Limit: 6}, inForce: 6},
		{name: "the override is 0", override: &attune.LimitOverride{Limit: 0}, inForce: 0},
		{
			name:     "the override ends later",
			override: &attune.LimitOverride{Limit: 6, Until: time.Now().UTC().Add(time.Hour).Truncate(time.Second)}, inForce: 6,
		},
		{name: "the override has expired", override: &attune.LimitOverride{Limit: 6, Until: time.Now().Add(-time.Hour)}, inForce: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.control(t, attune.QueueOpen, test.override,
				attune.QueueChange{Number: 1, At: time.Now(), Author: authorNamed("ana", ""), Kind: attune.ChangeLimit, From: "1", To: "6"})
			require.Equal(t, test.inForce, b.stats(t).MaxConcurrent)
			want := test.override
			if test.inForce == 1 {
				want = nil
			}
			require.Empty(t, gocmp.Diff(want, b.rebuild(t).Override))
		})
	}
}

// cancelling returns the decisions of a queue when a person cancels a waiting ticket.
func cancelling(number int64, ticket attune.Ticket) attune.QueueDecisions {
	change := modeChange(number, "", "")
	change.Kind, change.Enforcement = attune.ChangeCancel, ticket.Enforcement
	change.From, change.To = string(attune.EnforcementQueued), string(attune.EnforcementCancelled)
	return attune.QueueDecisions{
		Settlements: []attune.Settlement{{Ticket: ticket, Status: attune.EnforcementCancelled, Reason: attune.ReasonCancelled}},
		Control:     attune.QueueControl{Mode: attune.QueueOpen, Changes: []attune.QueueChange{change}},
	}
}

func TestQueues_RecordCancels(t *testing.T) {
	t.Parallel()

	t.Run("the row and the change are recorded together", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		held, err := b.queues.Record(t.Context(), queueKey, cancelling(1, ticket))
		require.NoError(t, err)
		require.Empty(t, held)
		require.Equal(t, attune.EnforcementCancelled, b.enforcement(t, ticket.Enforcement).Status)
		require.Equal(t, "cancelled", b.changes(t, attune.Page{})[0].To)
	})

	t.Run("a late cancel records the status of its ticket", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		ticket := b.admit(t, b.created(t, deploy, 1)...)[0]
		b.request(t, ticket)
		held, err := b.queues.Record(t.Context(), queueKey, cancelling(1, ticket))
		require.NoError(t, err)
		require.Len(t, held, 1)
		require.Equal(t, attune.EnforcementGranted, b.enforcement(t, ticket.Enforcement).Status)
		require.Equal(t, "granted", b.changes(t, attune.Page{})[0].To)
	})

	t.Run("the cancel of an earlier generation is not recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		tickets := b.admit(t, b.created(t, deploy, 2)...)
		b.rebuild(t)
		decisions := cancelling(1, tickets[0])
		decisions.Settlements = append(decisions.Settlements, attune.Settlement{
			Ticket: tickets[1], Status: attune.EnforcementExpired, Reason: attune.ReasonQueueTimeout,
		})
		_, err := b.queues.Record(t.Context(), queueKey, decisions)
		require.NoError(t, err)
		require.Equal(t, attune.EnforcementQueued, b.enforcement(t, tickets[0].Enforcement).Status)
		require.Equal(t, attune.EnforcementExpired, b.enforcement(t, tickets[1].Enforcement).Status)
		require.Empty(t, b.changes(t, attune.Page{}))
	})

	t.Run("two requests never share a number", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.control(t, attune.QueuePaused, nil, modeChange(1, attune.QueueOpen, attune.QueuePaused))
		other := modeChange(1, attune.QueueOpen, attune.QueueDraining)
		other.Request = "another request"
		err := b.recordControl(t, queueKey, attune.QueueControl{Mode: attune.QueueDraining, Changes: []attune.QueueChange{other}})
		require.Error(t, err, "a change must not vanish")
		require.Len(t, b.changes(t, attune.Page{}), 1)
	})
}
