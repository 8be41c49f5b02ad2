package api_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

// fakeControl records the changes and returns a queue with them made.
type fakeControl struct {
	modes   []attune.QueueMode
	limits  []*attune.LimitOverride
	lanes   []int32 // of the limits of lanes
	tickets []attune.Ticket
	by      []string
	err     error
	mode    func(attune.QueueKey, attune.QueueMode, attune.Author) (attune.QueueStatus, error)
	setMode func(context.Context) (attune.QueueStatus, error)
}

func (f *fakeControl) SetMode(ctx context.Context, key attune.QueueKey, mode attune.QueueMode, author attune.Author) (attune.QueueStatus, error) {
	if f.setMode != nil {
		return f.setMode(ctx)
	}
	if f.mode != nil {
		return f.mode(key, mode, author)
	}
	f.modes, f.by = append(f.modes, mode), append(f.by, author.Who()+"/"+author.Note)
	return attune.QueueStatus{Queue: key, Mode: mode, Limit: 1}, f.err
}

func (f *fakeControl) SetLimit(
	_ context.Context, key attune.QueueKey, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	f.limits, f.by = append(f.limits, limit), append(f.by, author.Who()+"/"+author.Note)
	return attune.QueueStatus{Queue: key, Mode: attune.QueueOpen, Limit: 1, Override: limit}, f.err
}

func (f *fakeControl) SetLaneLimit(
	_ context.Context, key attune.QueueKey, lane int32, limit *attune.LimitOverride, author attune.Author,
) (attune.QueueStatus, error) {
	f.lanes, f.limits, f.by = append(f.lanes, lane), append(f.limits, limit), append(f.by, author.Who()+"/"+author.Note)
	return attune.QueueStatus{Queue: key, Mode: attune.QueueOpen, Limit: 1}, f.err
}

func (f *fakeControl) CancelByPerson(
	_ context.Context, key attune.QueueKey, ticket attune.Ticket, author attune.Author,
) (attune.QueueStatus, error) {
	f.tickets, f.by = append(f.tickets, ticket), append(f.by, author.Who()+"/"+author.Note)
	return attune.QueueStatus{Queue: key, Mode: attune.QueueOpen, Limit: 1}, f.err
}

func setupControl(t *testing.T) *bundle {
	t.Helper()
	b := setup(t)
	b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) {
		switch key {
		case "github.deploy":
			return attune.QueueStats{ID: 3, Queue: key}, nil
		case "github.unused":
			return attune.QueueStats{Queue: key}, nil
		default:
			return attune.QueueStats{}, notFound("queue \"" + string(key) + "\"")
		}
	}
	return b
}

func TestQueueControl(t *testing.T) {
	t.Parallel()
	b := setupControl(t)
	for verb, mode := range map[string]attune.QueueMode{
		"pause": attune.QueuePaused, "resume": attune.QueueOpen, "drain": attune.QueueDraining,
	} {
		response := b.do(t, request{method: http.MethodPost, path: "/api/v1/queues/github.deploy/" + verb, body: `{"on_behalf_of":"ada","note":"why"}`})
		require.Equal(t, http.StatusOK, response.Code, response.Body)
		require.JSONEq(t, `{"queue":"github.deploy","mode":"`+string(mode)+`","limit":1,"active":0,"waiting":0,"changes":0}`, response.Body.String())
	}
	require.ElementsMatch(t, []attune.QueueMode{attune.QueuePaused, attune.QueueOpen, attune.QueueDraining}, b.control.modes)
	require.Equal(t, "admin for ada/why", b.control.by[0])

	response := b.do(t, request{method: http.MethodPost, path: "/api/v1/queues/github.deploy/pause"})
	require.Equal(t, http.StatusOK, response.Code, "without a body: %s", response.Body)
	require.Equal(t, "admin/", b.control.by[len(b.control.by)-1])

	response = b.do(t, request{method: http.MethodPut, path: "/api/v1/queues/github.unused/limit", body: `{"on_behalf_of":"ada","limit":5,"until":"2030-01-02T13:00:00Z"}`})
	require.Equal(t, http.StatusOK, response.Code, "before its first use: %s", response.Body)
	response = b.do(t, request{method: http.MethodPost, path: "/api/v1/queues/github.deploy/limit/clear", body: `{"on_behalf_of":"ada"}`})
	require.Equal(t, http.StatusOK, response.Code, response.Body)
	require.Equal(t, 5, b.control.limits[0].Limit)
	require.False(t, b.control.limits[0].Until.IsZero())
	require.Nil(t, b.control.limits[1])
}

func TestQueueControl_Refused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		request request
		err     error
		status  int
		detail  string
	}{
		"an unknown member is refused":   {request{method: "POST", path: "/api/v1/queues/github.deploy/pause", body: `{"by":"ada"}`}, nil, 422, "by"},
		"a control character is refused": {request{method: "POST", path: "/api/v1/queues/github.deploy/pause", body: `{"note":"\u0000"}`}, nil, 422, "note"},
		"an unknown queue is not found":  {request{method: "POST", path: "/api/v1/queues/github.gone/pause", body: `{"on_behalf_of":"ada"}`}, nil, 404, "github.gone"},
		"a limit below 0 is refused":     {request{method: "PUT", path: "/api/v1/queues/github.deploy/limit", body: `{"on_behalf_of":"ada","limit":-1}`}, nil, 422, "limit"},
		"an end after the year 9999 in UTC is refused": {request{method: "PUT", path: "/api/v1/queues/github.deploy/limit",
			body: `{"limit":3,"until":"9999-12-31T23:59:59-23:59"}`}, nil, 422, "until: the year is 10000 in UTC"},
		"an end at the zero time is refused": {request{method: "PUT", path: "/api/v1/queues/github.deploy/limit",
			body: `{"limit":3,"until":"0001-01-01T00:00:00Z"}`}, nil, 422, "until: use a time in the future"},
		"a missing limit is refused": {request{method: "PUT", path: "/api/v1/queues/github.deploy/limit", body: `{"on_behalf_of":"ada"}`}, nil, 422, "limit"},
		"a change that changes nothing is a conflict": {request{method: "POST", path: "/api/v1/queues/github.deploy/pause", body: `{"on_behalf_of":"ada"}`},
			attune.Errorf(attune.CodeConflict, "the queue is already paused"), 409, "already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupControl(t)
			b.control.err = tt.err
			response := b.do(t, tt.request)
			require.Equal(t, tt.status, response.Code, response.Body)
			require.Contains(t, response.Body.String(), tt.detail)
		})
	}
}

// The answer for an enforcement that holds a slot names the request that ends its execution.
func TestCancelEnforcement_Granted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		executions []attune.Execution
		advice     string
	}{
		"the execution exists":        {[]attune.Execution{{ID: 51}}, "cancel its execution with POST /api/v1/executions/51/cancel"},
		"the execution is on its way": {nil, "its execution is about to be created: try again in a moment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupControl(t)
			b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
				return attune.Enforcement{ID: id, Status: attune.EnforcementGranted}, nil
			}
			b.executions.list = func(filter attune.ExecutionFilter, _ attune.Page) ([]attune.Execution, error) {
				require.EqualValues(t, 52, filter.Enforcement)
				return tt.executions, nil
			}
			response := b.do(t, request{method: http.MethodPost, path: "/api/v1/enforcements/52/cancel"})
			require.Equal(t, http.StatusConflict, response.Code, response.Body)
			require.Contains(t, response.Body.String(), "enforcement 52 holds a slot already: "+tt.advice)
		})
	}
}

func TestCancelEnforcement(t *testing.T) {
	t.Parallel()
	for status, code := range map[attune.EnforcementStatus]int{
		attune.EnforcementQueued: 200, attune.EnforcementCreated: 409, attune.EnforcementGranted: 409, attune.EnforcementExpired: 409,
	} {
		t.Run(string(status), func(t *testing.T) {
			t.Parallel()
			b := setupControl(t)
			b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
				return attune.Enforcement{ID: id, Status: status, Queue: "github.deploy", Sequence: 7, QueuedAt: &noon}, nil
			}
			response := b.do(t, request{method: http.MethodPost, path: "/api/v1/enforcements/3/cancel", body: `{"on_behalf_of":"ada"}`})
			require.Equal(t, code, response.Code, response.Body)
			if code == 200 {
				require.Equal(t, []attune.Ticket{{Enforcement: 3, Sequence: 7, EnqueuedAt: noon}}, b.control.tickets)
				var body api.EnforcementSummary
				require.NoError(t, json.Unmarshal(response.Body.Bytes(), &body))
				require.Equal(t, api.EnforcementSummary{
					ID: 3, Status: attune.EnforcementCancelled, Reason: attune.ReasonCancelled, Queue: "github.deploy", Sequence: 7, QueuedAt: &noon,
				}, body)
			} else {
				require.Empty(t, b.control.tickets)
			}
		})
	}
}
