package postgres_test

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

// bob acts on behalf of another person.
var bob = attune.Author{
	Principal: attune.Principal{Name: "ci", Method: attune.AuthToken}, OnBehalfOf: "bob", Note: "\"quoted\", and über",
}

func TestEvents_Author(t *testing.T) {
	t.Parallel()

	t.Run("an event keeps its author, and an enforcement of a rule has none", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		event := pushEvent()
		event.Author, event.DedupKey = &bob, "d-1"
		recorded, err := b.events.Record(t.Context(), event, accept)
		require.NoError(t, err)
		require.Equal(t, &bob, recorded.Event.Author)
		stored, err := b.events.Get(t.Context(), recorded.Event.ID)
		require.NoError(t, err)
		require.Equal(t, &bob, stored.Author)
		listed, err := b.events.List(t.Context(), attune.EventFilter{}, attune.Page{})
		require.NoError(t, err)
		require.Equal(t, &bob, listed[0].Author)
		require.Nil(t, b.enforcement(t, recorded.Enforcements[0].ID).Author)

		event.Author = &ada
		again, err := b.events.Record(t.Context(), event, accept)
		require.NoError(t, err)
		require.Equal(t, &bob, again.Event.Author, "a repetition is the first event")
	})

	t.Run("an event without a principal has no author", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		recorded, err := b.events.Record(t.Context(), pushEvent(), accept)
		require.NoError(t, err)
		stored, err := b.events.Get(t.Context(), recorded.Event.ID)
		require.NoError(t, err)
		require.Nil(t, stored.Author)
	})

	t.Run("the enforcement of a direct run has the author of its event", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		id := b.created(t, deploy, 1)[0]
		require.Equal(t, &ada, b.enforcement(t, id).Author)
		listed, err := b.enforcements.List(t.Context(), attune.EnforcementFilter{}, attune.Page{})
		require.NoError(t, err)
		require.Equal(t, &ada, listed[0].Author)
		_, err = b.conn(t).Exec(t.Context(), `UPDATE events SET principal = NULL, auth_method = NULL, on_behalf_of = NULL, note = NULL`)
		require.ErrorContains(t, err, "events_manual_has_author")
		_, err = b.conn(t).Exec(t.Context(), `UPDATE events SET note = NULL`)
		require.ErrorContains(t, err, "events_author_at_once")
	})
}

func TestEvents_ReceivedAt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := time.Now().UTC().Add(-time.Hour).Truncate(time.Microsecond)
	for name, tt := range map[string]struct {
		given time.Time
		check func(got time.Time)
	}{
		"the time of the source":      {before, func(got time.Time) { require.Equal(t, before, got) }},
		"now":                         {time.Time{}, func(got time.Time) { require.WithinDuration(t, time.Now(), got, time.Minute) }},
		"no time that is yet to come": {time.Now().Add(time.Hour), func(got time.Time) { require.WithinDuration(t, time.Now(), got, time.Minute) }},
	} {
		event := pushEvent()
		event.ReceivedAt = tt.given
		recorded, err := b.events.Record(t.Context(), event, func(e attune.Event, candidates []attune.Candidate) []attune.Decision {
			tt.check(e.ReceivedAt)
			return accept(e, candidates)
		})
		require.NoError(t, err, name)
		tt.check(recorded.Event.ReceivedAt)
	}
}

func TestPacks_RuleChanges(t *testing.T) {
	t.Parallel()

	changesOf := func(t *testing.T, b *bundle, page attune.Page) []attune.RuleChange {
		t.Helper()
		changes, err := b.packs.RuleChanges(t.Context(), onPush, page)
		require.NoError(t, err)
		return changes
	}

	t.Run("switches are recorded, newest first, and a switch without effect is not", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, true, ada), "it is on already")
		require.Empty(t, changesOf(t, b, attune.Page{}))
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, bob))
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, true, ada))
		changes := changesOf(t, b, attune.Page{})
		require.Empty(t, cmp.Diff([]attune.RuleChange{
			{ID: 2, Author: ada, From: attune.RuleDisabled, To: attune.RuleEnabled},
			{ID: 1, Author: bob, From: attune.RuleEnabled, To: attune.RuleDisabled},
		}, changes, cmpopts.IgnoreFields(attune.RuleChange{}, "At")))
		require.WithinDuration(t, time.Now(), changes[0].At, time.Minute)
		require.Equal(t, changes[1:], changesOf(t, b, attune.Page{Before: 2}))
		require.Equal(t, changes[:1], changesOf(t, b, attune.Page{Limit: 1}))
		other, err := b.packs.RuleChanges(t.Context(), "demo.unknown", attune.Page{})
		require.NoError(t, err)
		require.Empty(t, other)
	})

	t.Run("a rule is listed from the change that disables it until a person or its pack enables it", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		disabled := func() []attune.DisabledRule {
			rules, err := b.packs.DisabledRules(t.Context())
			require.NoError(t, err)
			return rules
		}
		require.Empty(t, disabled())
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))
		require.Equal(t, []attune.DisabledRule{{Rule: onPush, Change: changesOf(t, b, attune.Page{})[0]}}, disabled())
		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, true, ada))
		require.Empty(t, disabled())

		require.NoError(t, b.packs.SetRuleEnabled(t.Context(), onPush, false, ada))
		next := demoPack()
		next.Digest, next.Rules[0].Enabled = "demo-2", false
		b.install(t, next)
		require.Empty(t, disabled(), "the pack itself disables the rule")
	})

	t.Run("a refused switch is not recorded", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireCode(t, attune.CodeNotFound, b.packs.SetRuleEnabled(t.Context(), "demo.unknown", false, ada), `"demo.unknown"`)
		requireCode(t, attune.CodeInvalid, b.packs.SetRuleEnabled(t.Context(), onPush, false, attune.Author{}), "principal")
		b.install(t, attune.Pack{Name: "demo", Version: "2", Digest: "demo-2"})
		requireCode(t, attune.CodeConflict, b.packs.SetRuleEnabled(t.Context(), onPush, true, ada), onPush)
		require.Empty(t, changesOf(t, b, attune.Page{}))
	})

	t.Run("concurrent switches leave an unbroken chain", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		errs := make([]error, 24)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = b.packs.SetRuleEnabled(t.Context(), onPush, i%2 == 0, ada) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs...))
		to := attune.RuleEnabled
		changes := changesOf(t, b, attune.Page{})
		require.NotEmpty(t, changes)
		for _, change := range slices.Backward(changes) {
			require.Equal(t, to, change.From)
			to = change.To
		}
		rule, err := b.packs.Rule(t.Context(), onPush)
		require.NoError(t, err)
		require.Equal(t, rule.Enabled, to == attune.RuleEnabled)
	})
}
