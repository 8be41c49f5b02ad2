package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// fakeJournal holds the grants, the manual changes and the policies of queues.
type fakeJournal struct {
	grants   func(attune.QueueKey, attune.Page) ([]attune.LoggedGrant, error)
	changes  func(attune.QueueKey, attune.Page) ([]attune.QueueChange, error)
	policies func(attune.QueueKey, attune.Page) ([]attune.QueuePolicy, error)
	starts   func(attune.QueueKey, attune.Page) ([]attune.Start, error)
}

func (f *fakeJournal) Starts(_ context.Context, key attune.QueueKey, page attune.Page) ([]attune.Start, error) {
	if f.starts == nil {
		return nil, nil
	}
	return f.starts(key, page)
}

func (f *fakeJournal) QueuePolicies(_ context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueuePolicy, error) {
	if f.policies == nil {
		return nil, nil
	}
	return f.policies(key, page)
}

func (f *fakeJournal) Grants(_ context.Context, key attune.QueueKey, page attune.Page) ([]attune.LoggedGrant, error) {
	if f.grants == nil {
		return nil, nil
	}
	return f.grants(key, page)
}

func (f *fakeJournal) Changes(_ context.Context, key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error) {
	if f.changes == nil {
		return nil, nil
	}
	return f.changes(key, page)
}

func loggedGrant() attune.LoggedGrant {
	released := noon.Add(3 * time.Second)
	return attune.LoggedGrant{
		Grant: attune.Grant{
			Ticket:     attune.Ticket{Enforcement: 31, Sequence: 8, EnqueuedAt: noon, Attempt: 1, Lane: 3, Action: 4},
			Generation: 1, Number: 7, GrantedAt: noon.Add(time.Second), Limit: 2, Revision: 4, Freed: []int64{5, 3},
		},
		RequestedAt: noon.Add(2 * time.Second), ReleasedAt: &released, Outcome: attune.ExecutionFailed,
	}
}

func TestListGrants(t *testing.T) {
	t.Parallel()
	b := setup(t)
	held := loggedGrant()
	held.Number, held.ReleasedAt, held.Outcome = 6, nil, attune.ExecutionRunning
	b.journal.grants = func(key attune.QueueKey, page attune.Page) ([]attune.LoggedGrant, error) {
		require.Equal(t, attune.QueueKey("shop.deploy"), key)
		if page.Before == 0 {
			return []attune.LoggedGrant{loggedGrant()}, nil
		}
		require.Equal(t, attune.Page{Before: 7, Limit: 1}, page)
		return []attune.LoggedGrant{held}, nil
	}
	recorder := b.do(t, get("/api/v1/queues/shop.deploy/grants?limit=1"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{"items": [{
		"generation": 1, "number": 7, "enforcement_id": 31, "action_id": 4, "sequence": 8, "lane": 3, "attempt": 1, "limit": 2,
		"policy_revision": 4, "freed": [5, 3], "changes": 0,
		"queued_at": "2030-01-02T12:00:00Z", "granted_at": "2030-01-02T12:00:01Z", "requested_at": "2030-01-02T12:00:02Z",
		"released_at": "2030-01-02T12:00:03Z", "outcome": "failed"
	}], "next": "YmVmb3JlOjc"}`, recorder)

	recorder = b.do(t, get("/api/v1/queues/shop.deploy/grants?limit=1&cursor=YmVmb3JlOjc"))
	var page api.List[api.Grant]
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &page))
	require.Len(t, page.Items, 1)
	require.Empty(t, cmp.Diff(held, page.Items[0].Logged()), "read back, nothing is lost")
}

func TestListChanges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.journal.changes = func(key attune.QueueKey, page attune.Page) ([]attune.QueueChange, error) {
		require.Equal(t, attune.QueueKey("shop.deploy"), key)
		require.Equal(t, attune.Page{Limit: 2}, page)
		return []attune.QueueChange{
			{Number: 2, Request: "b", At: noon, Author: attune.Author{Principal: samAuthor.Principal}, Kind: attune.ChangeCancel, From: "queued", To: "cancelled", Enforcement: 31},
			{Number: 1, Request: "a", At: noon, Author: attune.Author{Principal: samAuthor.Principal, OnBehalfOf: "sam", Note: "release freeze"}, Kind: attune.ChangeMode, From: "open", To: "paused"},
		}, nil
	}
	recorder := b.do(t, get("/api/v1/queues/shop.deploy/changes?limit=2"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{"items": [
		{"number": 2, "request_id": "b", "at": "2030-01-02T12:00:00Z", "principal": {"name": "admin", "method": "token"}, "kind": "cancel", "from": "queued", "to": "cancelled", "enforcement_id": 31},
		{"number": 1, "request_id": "a", "at": "2030-01-02T12:00:00Z", "principal": {"name": "admin", "method": "token"}, "on_behalf_of": "sam", "note": "release freeze", "kind": "mode", "from": "open", "to": "paused"}
	], "next": "YmVmb3JlOjE"}`, recorder)
}

// A list of one queue tells an empty list from an unknown queue, and passes errors on.
func TestListsOfQueue(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"grants", "changes", "lanes", "policies", "starts"} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			path := "/api/v1/queues/shop.deploy/" + list
			requireProblem(t, b.do(t, get(path)), 404, "not_found")
			requireProblem(t, b.do(t, get("/api/v1/queues/a%00b/"+list)), 404, "not_found")
			requireProblem(t, b.do(t, get("/api/v1/queues/"+strings.Repeat("a", 500)+"/"+list)), 404, "not_found")
			requireProblem(t, b.do(t, get(path+"?cursor=nonsense")), 422, "invalid")
			requireProblem(t, b.do(t, get(path+"?limit=0")), 422, "invalid")

			b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) { return attune.QueueStats{Queue: key}, nil }
			recorder := b.do(t, get(path))
			require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
			requireJSON(t, `{"items": []}`, recorder)

			b.journal.grants = func(attune.QueueKey, attune.Page) ([]attune.LoggedGrant, error) { return nil, errDown }
			b.journal.changes = func(attune.QueueKey, attune.Page) ([]attune.QueueChange, error) { return nil, errDown }
			b.journal.policies = func(attune.QueueKey, attune.Page) ([]attune.QueuePolicy, error) { return nil, errDown }
			b.journal.starts = func(attune.QueueKey, attune.Page) ([]attune.Start, error) { return nil, errDown }
			b.queues.lanes = func(attune.QueueKey, attune.LanePage) ([]attune.LaneStats, error) { return nil, errDown }
			requireProblem(t, b.do(t, get(path)), 503, "unavailable")
		})
	}
}

func TestListQueuePolicies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.journal.policies = func(key attune.QueueKey, page attune.Page) ([]attune.QueuePolicy, error) {
		require.Equal(t, attune.QueueKey("shop.deploy"), key)
		require.Equal(t, attune.Page{Limit: 1}, page)
		return []attune.QueuePolicy{{
			Revision: 4, Limit: 2, Across: attune.AcrossSkip, MaxQueued: 10, Overflow: attune.OverflowReject,
			QueueTimeout: attune.Duration(time.Minute), Actions: []attune.ActionPolicy{{Action: 5, LimitPerKey: new(1)}},
		}}, nil
	}
	requireJSON(t, `{"items": [{
		"revision": 4, "limit": 2, "across": "skip", "max_queued": 10, "overflow": "reject", "queue_timeout": "1m0s",
		"actions": [{"action": 5, "limit_per_key": 1}]
	}], "next": "YmVmb3JlOjQ"}`, b.do(t, get("/api/v1/queues/shop.deploy/policies?limit=1")))
}
