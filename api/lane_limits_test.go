package api_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestLaneLimit(t *testing.T) {
	t.Parallel()
	const path = "/api/v1/queues/github.deploy/lanes/limit"
	b := setupControl(t)
	response := b.do(t, request{method: http.MethodPut, path: path, body: `{"key":"eu","limit":5,"until":"2030-01-02T13:00:00Z","note":"why"}`})
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	response = b.do(t, request{method: http.MethodPut, path: path, body: `{"number":7,"limit":0}`})
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	response = b.do(t, request{method: http.MethodPost, path: path + "/clear", body: `{"key":"eu"}`})
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	require.Equal(t, []int32{7, 7, 7}, b.control.lanes)
	require.Equal(t, []*attune.LimitOverride{
		{Limit: 5, Until: time.Date(2030, 1, 2, 13, 0, 0, 0, time.UTC)}, {}, nil,
	}, b.control.limits)
	require.Equal(t, []string{"admin/why", "admin/", "admin/"}, b.control.by)

	for body, says := range map[string]string{
		`{"limit":5}`:                                           "name the lane by its key or by its number",
		`{"key":"eu","number":7,"limit":5}`:                     "name the lane by its key or by its number",
		`{"key":"eu","limit":5001}`:                             "body.limit",
		`{"key":"eu\u0000","limit":5}`:                          "body.key",
		`{"key":"eu","limit":1,"until":"0001-01-01T00:00:00Z"}`: "body.until",
	} {
		response := b.do(t, request{method: http.MethodPut, path: path, body: body})
		require.Contains(t, []int{http.StatusBadRequest, http.StatusUnprocessableEntity}, response.Code, "%s: %s", body, response.Body)
		require.Contains(t, response.Body.String(), says, body)
	}
	for _, at := range []request{
		{method: http.MethodPut, path: path, body: `{"key":"us","limit":5}`},
		{method: http.MethodPut, path: "/api/v1/queues/github.nope/lanes/limit", body: `{"key":"eu","limit":5}`},
		{method: http.MethodPost, path: path + "/clear", body: `{"number":8}`},
	} {
		require.Equal(t, http.StatusNotFound, b.do(t, at).Code)
	}
}
