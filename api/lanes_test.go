package api_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

func TestListLanes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	lanes := []attune.LaneStats{
		{Number: 2, Name: attune.LaneOf("eu"), Waiting: 3, Active: 1, Granted: 9, Head: 7, OldestAt: &noon},
		{Number: 1, Name: attune.NoLane, Active: 2, Granted: 4},
		{Number: 3, Name: attune.LaneOf("")},
	}
	var pages []attune.LanePage
	b.queues.lanes = func(key attune.QueueKey, page attune.LanePage) ([]attune.LaneStats, error) {
		require.Equal(t, attune.QueueKey("shop.deploy"), key)
		pages = append(pages, page)
		return lanes[len(pages)-1:][:1], nil
	}
	recorder := b.do(t, get("/api/v1/queues/shop.deploy/lanes?limit=1"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{"items": [{
		"number": 2, "key": "eu", "waiting": 3, "active": 1, "granted": 9, "oldest_enqueued_at": "2030-01-02T12:00:00Z"
	}], "next": "bGFuZXM6Nzow"}`, recorder)
	recorder = b.do(t, get("/api/v1/queues/shop.deploy/lanes?limit=1&cursor=bGFuZXM6Nzow"))
	var list api.List[api.Lane]
	require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &list))
	require.Equal(t, []api.Lane{{Number: 1, Key: "(none)", Active: 2, Granted: 4}}, list.Items)
	recorder = b.do(t, get("/api/v1/queues/shop.deploy/lanes?limit=1&cursor="+list.Next))
	requireJSON(t, `{"items": [{"number": 3, "key": "", "waiting": 0, "active": 0, "granted": 0}], "next": "bGFuZXM6MDoz"}`, recorder)
	require.Equal(t, []attune.LanePage{{Limit: 1}, {Head: 7, Limit: 1}, {Number: 1, Limit: 1}}, pages)

	for _, content := range []string{"lanes:7", "lanes:-1:0", "lanes:0:-1", "lanes:07:0", "lanes:7:0 ", "before:7", "lanes:0:4294967296"} {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(content))
		problem := requireProblem(t, b.do(t, get("/api/v1/queues/shop.deploy/lanes?cursor="+cursor)), 422, "invalid")
		require.Contains(t, problem.Detail, "not a cursor", content)
	}
	require.Len(t, pages, 3)
}
