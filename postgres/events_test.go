package postgres_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func pushEvent() attune.Event {
	return attune.Event{Trigger: pushed, Source: attune.SourceAPI, Payload: json.RawMessage(`{"ref":"main"}`)}
}

func TestEvents_Record(t *testing.T) {
	t.Parallel()

	t.Run("a match becomes an enforcement and a message", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorded, err := b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
			require.Positive(t, event.ID)
			require.WithinDuration(t, time.Now(), event.ReceivedAt, time.Minute)
			require.Len(t, candidates, 1)
			rule, err := b.packs.Rule(t.Context(), onPush)
			require.NoError(t, err)
			action, err := b.packs.Action(t.Context(), deploy)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(attune.Candidate{Rule: rule, Action: action}, candidates[0]))
			return accept(event, candidates)
		})
		require.NoError(t, err)
		require.Equal(t, time.UTC, recorded.Event.ReceivedAt.Location())
		require.False(t, recorded.Duplicate)
		require.Len(t, recorded.Enforcements, 1)
		enforcement := recorded.Enforcements[0]
		require.Equal(t, attune.EnforcementCreated, enforcement.Status)
		require.Equal(t, []any{recorded.Event.ID, onPush, deploy}, []any{enforcement.Event, enforcement.Rule, enforcement.Action})
		require.JSONEq(t, `{"n": 1}`, string(enforcement.Parameters))
		require.Empty(t, cmp.Diff(enforcement, b.enforcement(t, enforcement.ID)))

		stored, err := b.events.Get(t.Context(), recorded.Event.ID)
		require.NoError(t, err)
		require.Empty(t, cmp.Diff(recorded.Event, stored))
		requireAnnounced(t, b, enforcement.ID)
	})

	t.Run("decisions keep their order, and only created enforcements are announced", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest = "demo-2"
		for _, name := range []attune.Ref{"demo.a", "demo.b", "demo.z"} {
			pack.Rules = append(pack.Rules, attune.Rule{Ref: name, Enabled: true, Trigger: pushed, Action: notify})
		}
		b.install(t, pack)
		recorded, err := b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
			decisions := accept(event, candidates)
			decisions[1] = attune.Decision{
				RuleID: decisions[1].RuleID, ActionID: decisions[1].ActionID, Status: attune.EnforcementRejected,
				Reason: attune.ReasonParametersInvalid, Detail: "no\x00such \xff field",
			}
			return decisions
		})
		require.NoError(t, err)
		var rules []attune.Ref
		for _, enforcement := range recorded.Enforcements {
			rules = append(rules, enforcement.Rule)
		}
		require.Equal(t, []attune.Ref{"demo.a", "demo.b", "demo.on-push", "demo.z"}, rules)
		rejected := recorded.Enforcements[1]
		require.Equal(t, attune.EnforcementRejected, rejected.Status)
		require.Equal(t, attune.ReasonParametersInvalid, rejected.Reason)
		require.Equal(t, "no\uFFFDsuch \uFFFD field", rejected.Detail)
		require.NotNil(t, rejected.FinishedAt)
		require.Nil(t, rejected.Parameters)
		requireAnnounced(t, b, recorded.Enforcements[0].ID, recorded.Enforcements[2].ID, recorded.Enforcements[3].ID)
	})

	t.Run("the chosen queue is stored, and inserted once", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		first, err := b.events.Record(t.Context(), pushEvent(), accept)
		require.NoError(t, err)
		second, err := b.events.Record(t.Context(), pushEvent(), accept)
		require.NoError(t, err)
		for _, enforcement := range append(first.Enforcements, second.Enforcements...) {
			require.Equal(t, queueKey, enforcement.Queue)
			require.Zero(t, enforcement.Lane)
			require.Zero(t, enforcement.Sequence)
		}
		require.EqualValues(t, 1, b.count(t, `SELECT count(*) FROM queues WHERE key = 'demo.deploy' AND policy_revision = 0`))
	})

	t.Run("recording locks no queue", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.admit(t, b.created(t, deploy, 1)...)
		blocker, err := b.conn(t).Begin(t.Context())
		require.NoError(t, err)
		_, err = blocker.Exec(t.Context(), `SELECT FROM queues FOR UPDATE`)
		require.NoError(t, err)
		_, err = b.events.Record(t.Context(), pushEvent(), accept)
		require.NoError(t, err, "an event is recorded while the queue is busy")
		require.NoError(t, blocker.Rollback(t.Context()))
	})

	t.Run("concurrent callers insert many queues in any order", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		wide := attune.Pack{Name: "listen", Digest: "1"}
		for _, action := range b.installWide(t, 30) {
			wide.Rules = append(wide.Rules, attune.Rule{
				Ref: attune.NewRef("listen", action.Name()), Enabled: true, Trigger: pushed, Action: action,
			})
		}
		b.install(t, wide)
		errs := make([]error, 12)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				_, errs[i] = b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
					decisions := accept(event, candidates)
					rand.New(rand.NewPCG(1, uint64(i))).Shuffle(len(decisions), func(x, y int) {
						decisions[x], decisions[y] = decisions[y], decisions[x]
					})
					return decisions
				})
			})
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		require.EqualValues(t, 31, b.count(t, `SELECT count(*) FROM queues`))
		require.EqualValues(t, 31*len(errs), b.count(t, `SELECT count(*) FROM enforcements`))
		require.Zero(t, b.count(t, `SELECT count(*) FROM enforcements e LEFT JOIN queues q ON q.id = e.queue_id
			WHERE q.action_id IS DISTINCT FROM e.action_id`), "each is in the queue of its action")
	})

	t.Run("a disabled rule creates nothing", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))
		recorded, err := b.events.Record(t.Context(), pushEvent(), accept)
		require.NoError(t, err)
		require.Positive(t, recorded.Event.ID)
		require.Empty(t, recorded.Enforcements)
		requireAnnounced(t, b)
	})

	t.Run("no rule listens to the manual trigger", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		pack := demoPack()
		pack.Digest, pack.Rules[0].Trigger = "demo-2", attune.ManualTrigger
		b.install(t, pack)
		event := attune.Event{Trigger: attune.ManualTrigger, Source: attune.SourceManual, Author: &ada, Payload: json.RawMessage(`{}`)}
		_, err := b.events.Record(t.Context(), event, func(_ attune.Event, candidates []attune.Candidate) []attune.Decision {
			require.Empty(t, candidates)
			return nil
		})
		require.NoError(t, err)
	})
}

func TestEvents_RecordDuplicate(t *testing.T) {
	t.Parallel()

	t.Run("a duplicate returns the earlier event", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		event := pushEvent()
		event.DedupKey = "delivery-1"
		first, err := b.events.Record(t.Context(), event, accept)
		require.NoError(t, err)
		b.takeOutbox(t)

		event.Payload = json.RawMessage(`{"ref":"other"}`)
		second, err := b.events.Record(t.Context(), event, func(attune.Event, []attune.Candidate) []attune.Decision {
			t.Error("a duplicate is not judged again")
			return nil
		})
		require.NoError(t, err)
		require.True(t, second.Duplicate)
		second.Duplicate = false
		require.Empty(t, cmp.Diff(first, second))
		requireAnnounced(t, b)
	})

	t.Run("concurrent duplicates are one event", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		event := pushEvent()
		event.DedupKey = "delivery-1"
		recorded := make([]attune.Recorded, 16)
		errs := make([]error, len(recorded))
		var wg sync.WaitGroup
		for i := range recorded {
			wg.Go(func() { recorded[i], errs[i] = b.events.Record(t.Context(), event, accept) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		originals := 0
		for _, r := range recorded {
			require.Equal(t, recorded[0].Event.ID, r.Event.ID)
			require.Len(t, r.Enforcements, 1)
			if !r.Duplicate {
				originals++
			}
		}
		require.Equal(t, 1, originals)
		requireAnnounced(t, b, recorded[0].Enforcements[0].ID)
	})

	t.Run("a key counts per trigger, and an event without a key is never a duplicate", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		keyed := pushEvent()
		keyed.DedupKey = "1"
		other := keyed
		other.Trigger = attune.ManualTrigger
		for _, event := range []attune.Event{keyed, other, pushEvent(), pushEvent()} {
			recorded, err := b.events.Record(t.Context(), event, accept)
			require.NoError(t, err)
			require.False(t, recorded.Duplicate)
		}
	})
}

func TestEvents_RecordNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	requireNothing := func(t *testing.T) {
		t.Helper()
		require.Zero(t, b.count(t, `SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM enforcements)
			+ (SELECT count(*) FROM outbox)`))
	}

	unknown := pushEvent()
	unknown.Trigger = "demo.unknown"
	_, err := b.events.Record(t.Context(), unknown, accept)
	requireCode(t, attune.CodeNotFound, err, `"demo.unknown"`)
	requireNothing(t)

	// The decision cannot be stored, so the event is not stored.
	_, err = b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
		return append(accept(event, candidates), attune.Decision{
			ActionID: 4711, Parameters: json.RawMessage(`{}`), Queue: queueKey, Status: attune.EnforcementCreated,
		})
	})
	requireCode(t, attune.CodeInternal, err, "record event", "enforcements_action_id_fkey")
	requireNothing(t)

	// A decision without a queue cannot be stored either.
	for mention, spoil := range map[string]func(*attune.Decision){
		"names no queue":     func(d *attune.Decision) { d.Queue = "" },
		"enforcements_queue": func(d *attune.Decision) { d.Queue = "demo.unknown" },
		`"prod" is not the`:  func(d *attune.Decision) { d.Lane = "prod" },
		"257 bytes":          func(d *attune.Decision) { d.Lane = attune.LaneOf(strings.Repeat("a", 257)) },
		"U+0000":             func(d *attune.Decision) { d.Lane = attune.LaneOf("a\x00") },
		"but no queue": func(d *attune.Decision) {
			d.Status, d.Reason, d.Queue, d.Lane = attune.EnforcementRejected, attune.ReasonCriteriaFailed, "", attune.NoLane
		},
	} {
		_, err = b.events.Record(t.Context(), pushEvent(), func(event attune.Event, candidates []attune.Candidate) []attune.Decision {
			decisions := accept(event, candidates)
			spoil(&decisions[0])
			return decisions
		})
		requireCode(t, attune.CodeInternal, err, mention)
		requireNothing(t)
	}

	_, err = b.events.Record(t.Context(), pushEvent(), func(attune.Event, []attune.Candidate) []attune.Decision {
		return []attune.Decision{{Status: attune.EnforcementGranted}}
	})
	requireCode(t, attune.CodeInternal, err, "granted")
	requireNothing(t)

	garbage := pushEvent()
	garbage.Payload = json.RawMessage(`{"ref": `)
	_, err = b.events.Record(t.Context(), garbage, accept)
	requireCode(t, attune.CodeInvalid, err)
	garbage = pushEvent()
	garbage.DedupKey = "a\x00b"
	_, err = b.events.Record(t.Context(), garbage, accept)
	requireCode(t, attune.CodeInvalid, err)
	requireNothing(t)
}

func TestEvents_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var ids []attune.EventID
	for i := range 5 {
		event := pushEvent()
		if i%2 == 1 {
			event.Source = attune.SourceTimer
		}
		recorded, err := b.events.Record(t.Context(), event, accept)
		require.NoError(t, err)
		ids = append(ids, recorded.Event.ID)
	}
	b.created(t, deploy, 1)

	tests := []struct {
		name   string
		filter attune.EventFilter
		page   attune.Page
		want   []attune.EventID
	}{
		{name: "the trigger filters, newest first", filter: attune.EventFilter{Trigger: pushed}, want: []attune.EventID{ids[4], ids[3], ids[2], ids[1], ids[0]}},
		{name: "the source filters", filter: attune.EventFilter{Source: attune.SourceTimer}, want: []attune.EventID{ids[3], ids[1]}},
		{name: "the first page has the newest events", filter: attune.EventFilter{Trigger: pushed}, page: attune.Page{Limit: 2}, want: []attune.EventID{ids[4], ids[3]}},
		{name: "the next page starts before the given id", filter: attune.EventFilter{Trigger: pushed}, page: attune.Page{Limit: 2, Before: int64(ids[3])}, want: []attune.EventID{ids[2], ids[1]}},
		{name: "an unknown trigger returns none", filter: attune.EventFilter{Trigger: "demo.unknown"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			events, err := b.events.List(t.Context(), test.filter, test.page)
			require.NoError(t, err)
			var got []attune.EventID
			for _, event := range events {
				got = append(got, event.ID)
			}
			require.Equal(t, test.want, got)
		})
	}
}

// requireAnnounced checks that the outbox holds exactly the messages about these enforcements, in this order.
func requireAnnounced(t *testing.T, b *bundle, ids ...attune.EnforcementID) {
	t.Helper()
	var got []attune.EnforcementID
	for _, row := range b.takeOutbox(t) {
		var message attune.EnforcementCreatedMessage
		require.NoError(t, json.Unmarshal(row.Body, &message))
		require.Equal(t, message.RoutingKey(), row.RoutingKey)
		require.Equal(t, message.MessageID(), row.MessageID)
		got = append(got, message.Enforcement)
	}
	require.Equal(t, ids, got)
}
