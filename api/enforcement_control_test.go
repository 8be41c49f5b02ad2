package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/api"
)

const sam = `{"on_behalf_of": "sam", "note": "the disk is empty again"}`

var samAuthor = attune.Author{
	Principal: attune.Principal{Name: "admin", Method: attune.AuthToken}, OnBehalfOf: "sam", Note: "the disk is empty again",
}

// parked makes the bundle's enforcement 11 parked.
func (b *bundle) parked() {
	b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
		return attune.Enforcement{ID: id, Status: attune.EnforcementParked, Queue: "shop.deploy", Sequence: 4, GrantNumber: 3}, nil
	}
}

func TestRetryParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	later := noon.Add(time.Minute)
	b.enforcements.retry = func(id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
		require.Equal(t, samAuthor, author)
		require.Equal(t, attune.EnforcementID(11), id)
		return attune.Enforcement{
			ID: id, Event: 7, Action: "shop.deploy", ActionID: 4, Status: attune.EnforcementQueued, Queue: "shop.deploy", Sequence: 9,
			CreatedAt: noon, QueuedAt: &later,
		}, nil
	}
	recorder := b.do(t, post("/api/v1/enforcements/11/retry", sam))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{
		"id": 11, "event_id": 7, "action": "shop.deploy", "action_id": 4, "status": "queued", "queue": "shop.deploy", "sequence": 9,
		"created_at": "2030-01-02T12:00:00Z", "queued_at": "2030-01-02T12:01:00Z"
	}`, recorder)
	require.Contains(t, b.log.String(), `enforcement=11 author="admin for sam" note="the disk is empty again"`)

	b.enforcements.retry = func(attune.EnforcementID, attune.Author) (attune.Enforcement, error) {
		return attune.Enforcement{}, attune.Errorf(attune.CodeConflict, "enforcement 11 is not parked: it is queued")
	}
	requireProblem(t, b.do(t, post("/api/v1/enforcements/11/retry", sam)), 409, "conflict")
	b.enforcements.retry = nil
	requireProblem(t, b.do(t, post("/api/v1/enforcements/12/retry", sam)), 404, "not_found")
	requireProblem(t, b.do(t, post("/api/v1/enforcements/12/retry", `{"by": "sam"}`)), 422, "invalid")
}

func TestCancelParked(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.parked()
	given := false
	b.enforcements.giveUp = func(id attune.EnforcementID, author attune.Author) (attune.Enforcement, error) {
		require.Equal(t, samAuthor, author)
		require.Equal(t, attune.EnforcementID(11), id)
		given = true
		return attune.Enforcement{
			ID: id, Event: 7, Action: "shop.deploy", ActionID: 4, Status: attune.EnforcementExecuted, Queue: "shop.deploy", Sequence: 4,
			GrantNumber: 3, CreatedAt: noon, FinishedAt: &noon,
		}, nil
	}
	b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) { return attune.QueueDetail{}, errDown }
	recorder := b.do(t, post("/api/v1/enforcements/11/cancel", sam))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{
		"id": 11, "event_id": 7, "action": "shop.deploy", "action_id": 4, "status": "executed", "queue": "shop.deploy", "sequence": 4,
		"grant_number": 3, "created_at": "2030-01-02T12:00:00Z", "finished_at": "2030-01-02T12:00:00Z"
	}`, recorder)
	require.True(t, given)
	require.Contains(t, b.log.String(), `enforcement=11 author="admin for sam"`)

	b.enforcements.giveUp = func(attune.EnforcementID, attune.Author) (attune.Enforcement, error) {
		return attune.Enforcement{}, attune.Errorf(attune.CodeConflict, "enforcement 11 is not parked: it is queued")
	}
	requireProblem(t, b.do(t, post("/api/v1/enforcements/11/cancel", sam)), 409, "conflict")
}

// TestWhyBetweenAttempts checks why an enforcement waits after a failed attempt.
func TestWhyBetweenAttempts(t *testing.T) {
	t.Parallel()
	at := noon.Add(time.Minute)
	retrying := attune.Execution{
		ID: 21, Attempt: 2, Status: attune.ExecutionRetrying, AttemptStatus: attune.ExecutionFailed, RetryAt: &at,
	}
	timedOut, lost := retrying, retrying
	timedOut.AttemptStatus, timedOut.RetryAt = attune.ExecutionTimedOut, nil
	lost.AttemptStatus, lost.RetryAt = attune.ExecutionAbandoned, nil
	cases := map[string]struct {
		status    attune.EnforcementStatus
		execution attune.Execution
		why       string
	}{
		"the enforcement keeps its slot": {attune.EnforcementGranted, retrying,
			"Attempt 2 failed. It keeps its slot for the next attempt, which starts at 2030-01-02T12:01:00Z or later."},
		"the enforcement is parked": {attune.EnforcementParked, timedOut,
			"Attempt 2 timed out. It is parked until a person retries or cancels it."},
		"the enforcement is back in the line": {attune.EnforcementQueued, lost,
			"Attempt 2 lost its worker, and it is back in the line. It is next in line. 1 of 1 slots are held."},
		"the execution runs": {attune.EnforcementGranted, attune.Execution{ID: 21, Attempt: 1, Status: attune.ExecutionRunning}, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
				return attune.Enforcement{ID: id, Status: tc.status, Queue: "shop.deploy", Sequence: 4}, nil
			}
			b.queues.waits(0, 1, 1)
			b.executions.list = func(filter attune.ExecutionFilter, _ attune.Page) ([]attune.Execution, error) {
				require.Equal(t, attune.ExecutionFilter{Enforcement: 11}, filter)
				return []attune.Execution{tc.execution}, nil
			}
			recorder := b.do(t, get("/api/v1/enforcements/11"))
			require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
			var body api.Enforcement
			require.NoError(t, json.Unmarshal(recorder.Body.Bytes(), &body))
			require.Equal(t, tc.why, body.Why)
			require.Equal(t, tc.execution.AttemptStatus, body.Execution.AttemptStatus)
			require.Equal(t, tc.execution.RetryAt, body.Execution.RetryAt)
		})
	}
}

func TestExecutionWithAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := noon.Add(time.Minute)
	retrying := attune.Execution{
		ID: 21, Enforcement: 11, Action: "shop.deploy", ActionID: 4, Queue: "shop.deploy", Sequence: 4, Attempt: 2,
		Status: attune.ExecutionRetrying, AttemptStatus: attune.ExecutionTimedOut, RetryAt: &at, Reason: attune.ReasonTimeout,
		Pool: "default", Parameters: json.RawMessage(`{}`), RequestedAt: noon,
	}
	b.executions.get = func(attune.ExecutionID) (attune.Execution, error) { return retrying, nil }
	b.executions.attempts = func(id attune.ExecutionID) ([]attune.ExecutionAttempt, error) {
		require.Equal(t, attune.ExecutionID(21), id)
		return []attune.ExecutionAttempt{
			{Attempt: 1, Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, ExitCode: new(3), Worker: "w1", FinishedAt: noon},
			{Attempt: 2, Status: attune.ExecutionTimedOut, Reason: attune.ReasonTimeout, Worker: "w1", FinishedAt: noon},
		}, nil
	}
	recorder := b.do(t, get("/api/v1/executions/21"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{
		"id": 21, "enforcement_id": 11, "action": "shop.deploy", "action_id": 4, "queue": "shop.deploy", "sequence": 4, "attempt": 2,
		"status": "retrying", "reason": "timeout", "attempt_status": "timed_out", "retry_at": "2030-01-02T12:01:00Z",
		"pool": "default", "parameters": {}, "timeout": "0s", "requested_at": "2030-01-02T12:00:00Z",
		"attempts": [
			{"attempt": 1, "status": "failed", "reason": "exit_code", "exit_code": 3, "worker": "w1", "finished_at": "2030-01-02T12:00:00Z"},
			{"attempt": 2, "status": "timed_out", "reason": "timeout", "worker": "w1", "finished_at": "2030-01-02T12:00:00Z"}
		]
	}`, recorder)

	b.executions.list = func(attune.ExecutionFilter, attune.Page) ([]attune.Execution, error) {
		return []attune.Execution{retrying}, nil
	}
	recorder = b.do(t, get("/api/v1/executions"))
	require.Contains(t, recorder.Body.String(), `"attempt_status":"timed_out","retry_at":"2030-01-02T12:01:00Z"`)
	require.NotContains(t, recorder.Body.String(), `"attempts"`)

	b.executions.attempts = func(attune.ExecutionID) ([]attune.ExecutionAttempt, error) { return nil, errDown }
	requireProblem(t, b.do(t, get("/api/v1/executions/21")), 503, "unavailable")
}

// TestHolderBetweenAttempts checks a holder that keeps its slot for the next attempt.
func TestHolderBetweenAttempts(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := noon.Add(time.Minute)
	b.details.detail = func(attune.QueueKey, int) (attune.QueueDetail, error) {
		return attune.QueueDetail{At: noon, Holders: []attune.SlotHolder{{
			Execution: 21, Attempt: 1, Status: attune.ExecutionRetrying, AttemptStatus: attune.ExecutionFailed, RetryAt: &at,
		}}}, nil
	}
	holder := b.queue(t).Holders[0]
	require.Equal(t, &at, holder.RetryAt)
	require.Equal(t, "Attempt 1 failed. The slot is kept for attempt 2, which starts at 2030-01-02T12:01:00Z or later.", holder.Expect)
}
