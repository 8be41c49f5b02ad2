package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// The pages that the cursors lead to contain every item once, newest first.
func TestListPages(t *testing.T) {
	t.Parallel()

	b := setup(t)
	var limits []int
	b.executions.list = func(_ attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error) {
		limits = append(limits, page.Limit)
		newest := int64(5)
		if page.Before > 0 {
			newest = page.Before - 1
		}
		var found []attune.Execution
		for id := newest; id > 0 && len(found) < page.Limit; id-- {
			found = append(found, attune.Execution{ID: attune.ExecutionID(id)})
		}
		return found, nil
	}
	var ids []attune.ExecutionID
	for path := "/api/v1/executions?limit=2"; path != ""; {
		recorder := b.do(t, get(path))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		var list api.List[api.ExecutionSummary]
		require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &list))
		for _, item := range list.Items {
			ids = append(ids, item.ID)
		}
		path = ""
		if list.Next != "" {
			path = "/api/v1/executions?limit=2&cursor=" + list.Next
		}
	}
	require.Equal(t, []attune.ExecutionID{5, 4, 3, 2, 1}, ids)
	require.Equal(t, []int{2, 2, 2}, limits)
}

// Every list checks its parameters alike, returns an empty list without items, and passes errors on.
func TestLists(t *testing.T) {
	t.Parallel()

	for _, noun := range []string{"events", "enforcements", "executions", "queues", "actions", "rules"} {
		t.Run(noun, func(t *testing.T) {
			t.Parallel()
			path := "/api/v1/" + noun

			b := setup(t)
			recorder := b.do(t, get(path))
			require.Equal(t, http.StatusOK, recorder.Code)
			requireJSON(t, `{"items": []}`, recorder)

			for query, detail := range map[string]string{
				"?limit=0":            "query.limit: expected number >= 1",
				"?limit=501":          "query.limit: expected number <= 500",
				"?limit=many":         "query.limit: invalid integer",
				"?cursor=nonsense":    "query.cursor: not a cursor",
				"?cursor=YmVmb3JlOjA": "query.cursor: not a cursor", // before:0
				"?page=2":             "query.page: unknown query parameter",
			} {
				problem := requireProblem(t, b.do(t, get(path+query)), 422, "invalid")
				require.Contains(t, problem.Detail, detail, query)
			}

			b.events.list = func(attune.EventFilter, attune.Page) ([]attune.Event, error) { return nil, errDown }
			b.enforcements.list = func(attune.EnforcementFilter, attune.Page) ([]attune.Enforcement, error) { return nil, errDown }
			b.executions.list = func(attune.ExecutionFilter, attune.Page) ([]attune.Execution, error) { return nil, errDown }
			b.queues.list = func(attune.Page) ([]attune.QueueStats, error) { return nil, errDown }
			b.actions.list = func(attune.Page) ([]attune.Action, error) { return nil, errDown }
			b.rules.list = func(attune.Page) ([]attune.Rule, error) { return nil, errDown }
			requireProblem(t, b.do(t, get(path)), 503, "unavailable")
		})
	}
}

// A filter with an impossible value is an error, not an empty list.
func TestListFilterErrors(t *testing.T) {
	t.Parallel()

	cases := []struct{ path, detail string }{
		{"/api/v1/events?source=email", `query.source: use one of api, webhook, timer, manual`},
		{"/api/v1/events?trigger=push", `query.trigger: reference "push" is not of the form`},
		{"/api/v1/enforcements?status=waiting",
			`query.status: use one of created, queued, granted, parked, executed, rejected, cancelled, expired`},
		{"/api/v1/enforcements?reason=whatever", `query.reason: use one of criteria_failed, parameters_invalid`},
		{"/api/v1/enforcements?event=x", `query.event: invalid integer`},
		{"/api/v1/enforcements?rule=R", `query.rule: reference "R" is not of the form`},
		{"/api/v1/enforcements?action=a%20b", `query.action: reference "a b" is not of the form`},
		{"/api/v1/enforcements?queue=a%00b", `query.queue: queue key: "a\x00b" contains the character U+0000`},
		{"/api/v1/executions?status=done",
			`query.status: use one of requested, running, retrying, succeeded, failed, timed_out, cancelled, abandoned`},
		{"/api/v1/executions?worker=%ff", `query.worker: "\xff" is not valid UTF-8`},
		{"/api/v1/executions?enforcement=0", `query.enforcement: expected number >= 1`},
		{"/api/v1/executions?reason=x", `query.reason: unknown query parameter`},
		{"/api/v1/executions?status=", `query.status: empty: give it a value, or leave it out`},
		{"/api/v1/enforcements?queue", `query.queue: empty: give it a value, or leave it out`},
	}
	for _, tc := range cases {
		t.Run(tc.path, func(t *testing.T) {
			t.Parallel()
			problem := requireProblem(t, setup(t).do(t, get(tc.path)), 422, "invalid")
			require.Contains(t, problem.Detail, tc.detail)
		})
	}
}
