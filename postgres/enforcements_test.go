package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestEnforcements_Get(t *testing.T) {
	t.Parallel()
	_, err := setup(t).enforcements.Get(t.Context(), 4711)
	requireCode(t, attune.CodeNotFound, err, "4711")
}

func TestEnforcements_List(t *testing.T) {
	t.Parallel()
	b := setup(t)
	recorded, err := b.events.Record(t.Context(), pushEvent(), accept)
	require.NoError(t, err)
	byRule := recorded.Enforcements[0].ID
	deploys, notes := b.created(t, deploy, 2), b.created(t, notify, 1)
	tickets := b.admit(t, byRule, deploys[0])
	b.request(t, tickets[0])
	b.settle(t, tickets[1], attune.EnforcementExpired, attune.ReasonQueueTimeout)

	tests := []struct {
		name   string
		filter attune.EnforcementFilter
		page   attune.Page
		want   []attune.EnforcementID
	}{
		{name: "no filter returns all, newest first", want: []attune.EnforcementID{notes[0], deploys[1], deploys[0], byRule}},
		{name: "the event filters", filter: attune.EnforcementFilter{Event: recorded.Event.ID}, want: []attune.EnforcementID{byRule}},
		{name: "the rule filters", filter: attune.EnforcementFilter{Rule: onPush}, want: []attune.EnforcementID{byRule}},
		{name: "the action filters", filter: attune.EnforcementFilter{Action: deploy}, want: []attune.EnforcementID{deploys[1], deploys[0], byRule}},
		{name: "the queue filters", filter: attune.EnforcementFilter{Queue: queueKey}, want: []attune.EnforcementID{deploys[1], deploys[0], byRule}},
		{name: "an unknown queue returns none", filter: attune.EnforcementFilter{Queue: "demo.unknown"}},
		{name: "the status filters", filter: attune.EnforcementFilter{Status: attune.EnforcementGranted}, want: []attune.EnforcementID{byRule}},
		{name: "the reason filters", filter: attune.EnforcementFilter{Reason: attune.ReasonQueueTimeout}, want: []attune.EnforcementID{deploys[0]}},
		{
			name:   "several filters combine with a page",
			filter: attune.EnforcementFilter{Action: deploy, Status: attune.EnforcementCreated},
			page:   attune.Page{Before: int64(notes[0]), Limit: 1}, want: []attune.EnforcementID{deploys[1]},
		},
		{name: "an unknown rule returns none", filter: attune.EnforcementFilter{Rule: "demo.unknown"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			enforcements, err := b.enforcements.List(t.Context(), test.filter, test.page)
			require.NoError(t, err)
			var got []attune.EnforcementID
			for _, enforcement := range enforcements {
				got = append(got, enforcement.ID)
				require.Empty(t, cmp.Diff(b.enforcement(t, enforcement.ID), enforcement))
			}
			require.Equal(t, test.want, got)
		})
	}
}
