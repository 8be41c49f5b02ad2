package api_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
)

func TestGetEnforcement(t *testing.T) {
	t.Parallel()

	later := noon.Add(time.Second)
	t.Run("a waiting enforcement has a position", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
			return attune.Enforcement{
				ID: id, Event: 7, Rule: "github.deploy", Action: "shop.deploy", ActionID: 4, Parameters: json.RawMessage(`{"v": 1}`),
				Status: attune.EnforcementQueued, Queue: "shop.deploy", LaneName: attune.NoLane, Lane: 2, Sequence: 42,
				CreatedAt: noon, QueuedAt: &later,
			}, nil
		}
		b.queues.waits(2, 1, 1)
		recorder := b.do(t, get("/api/v1/enforcements/11"))
		require.Equal(t, http.StatusOK, recorder.Code)
		requireJSON(t, `{
			"id": 11, "event_id": 7, "rule": "github.deploy", "action": "shop.deploy", "action_id": 4, "parameters": {"v": 1},
			"status": "queued", "queue": "shop.deploy", "key": "(none)", "lane": 2, "sequence": 42, "position": 3,
			"why": "It is number 3 in line. 1 of 1 slots are held.",
			"held_by": [{"level": "queue", "limit": 1, "active": 1, "ahead": 2}],
			"no_estimate": "only 0 of the latest runs have ended: an estimate needs 3",
			"created_at": "2030-01-02T12:00:00Z", "queued_at": "2030-01-02T12:00:01Z"
		}`, recorder)
	})

	t.Run("a granted enforcement has an execution", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
			return attune.Enforcement{
				ID: id, Action: "shop.deploy", Status: attune.EnforcementGranted, Queue: "shop.deploy", Sequence: 1,
				GrantNumber: 1, Parameters: json.RawMessage(`{}`), CreatedAt: noon, GrantedAt: &later,
			}, nil
		}
		b.executions.list = func(filter attune.ExecutionFilter, page attune.Page) ([]attune.Execution, error) {
			require.Equal(t, attune.ExecutionFilter{Enforcement: 11}, filter)
			require.Equal(t, 1, page.Limit)
			return []attune.Execution{{ID: 21, Attempt: 1, Status: attune.ExecutionRunning}}, nil
		}
		recorder := b.do(t, get("/api/v1/enforcements/11"))
		require.Equal(t, http.StatusOK, recorder.Code)
		require.Contains(t, recorder.Body.String(), `"execution":{"id":21,"attempt":1,"status":"running"}`)
		require.NotContains(t, recorder.Body.String(), `"position"`)
	})

	t.Run("an enforcement is rejected at acceptance", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.enforcements.get = func(id attune.EnforcementID) (attune.Enforcement, error) {
			return attune.Enforcement{
				ID: id, Status: attune.EnforcementRejected, Reason: attune.ReasonCriteriaFailed, Detail: "no such key", CreatedAt: noon,
			}, nil
		}
		recorder := b.do(t, get("/api/v1/enforcements/11"))
		require.Equal(t, http.StatusOK, recorder.Code)
		require.Contains(t, recorder.Body.String(), `"reason":"criteria_failed","detail":"no such key"`)
		require.NotContains(t, recorder.Body.String(), `"execution"`)
	})

	t.Run("errors are passed on", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireProblem(t, b.do(t, get("/api/v1/enforcements/11")), 404, "not_found")
		requireProblem(t, b.do(t, get("/api/v1/enforcements/x")), 422, "invalid")

		queued := func(attune.EnforcementID) (attune.Enforcement, error) {
			return attune.Enforcement{Status: attune.EnforcementQueued}, nil
		}
		b.enforcements.get = queued
		b.queues.waiting = func(attune.QueueKey, attune.EnforcementID) (attune.Wait, error) { return attune.Wait{}, errDown }
		requireProblem(t, b.do(t, get("/api/v1/enforcements/11")), 503, "unavailable")

		b.enforcements.get = func(attune.EnforcementID) (attune.Enforcement, error) { return attune.Enforcement{GrantNumber: 1}, nil }
		b.executions.list = func(attune.ExecutionFilter, attune.Page) ([]attune.Execution, error) { return nil, errDown }
		requireProblem(t, b.do(t, get("/api/v1/enforcements/11")), 503, "unavailable")
	})
}

func TestListEnforcements(t *testing.T) {
	t.Parallel()

	b := setup(t)
	b.enforcements.list = func(filter attune.EnforcementFilter, _ attune.Page) ([]attune.Enforcement, error) {
		require.Equal(t, attune.EnforcementFilter{
			Event: 7, Rule: "github.deploy", Action: "shop.deploy", Queue: "shop.deploy/eu west",
			Status: attune.EnforcementRejected, Reason: attune.ReasonQueueFull,
		}, filter)
		return []attune.Enforcement{{
			ID: 11, Event: 7, Action: "shop.deploy", Status: attune.EnforcementRejected, Reason: attune.ReasonQueueFull, CreatedAt: noon,
			Parameters: json.RawMessage(`{"secret": 1}`),
		}, {
			ID: 10, Event: 7, Action: "shop.deploy", Status: attune.EnforcementCreated, CreatedAt: noon, LaneName: attune.LaneOf(""),
		}}, nil
	}
	recorder := b.do(t, get("/api/v1/enforcements?event=7&rule=github.deploy&action=shop.deploy&queue=shop.deploy%2Feu+west"+
		"&status=rejected&reason=queue_full"))
	require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
	requireJSON(t, `{"items": [{
		"id": 11, "event_id": 7, "action": "shop.deploy", "action_id": 0, "status": "rejected", "reason": "queue_full",
		"created_at": "2030-01-02T12:00:00Z"
	}, {
		"id": 10, "event_id": 7, "action": "shop.deploy", "action_id": 0, "status": "created", "key": "", "created_at": "2030-01-02T12:00:00Z"
	}]}`, recorder)
}

func TestExecutions(t *testing.T) {
	t.Parallel()

	code := 3
	execution := attune.Execution{
		ID: 21, Enforcement: 11, Action: "shop.deploy", ActionID: 4, Queue: "shop.deploy", Sequence: 42, Attempt: 1,
		Status: attune.ExecutionFailed, Reason: attune.ReasonExitCode, Error: "exit code 3", Pool: "default", Worker: "w1",
		Parameters: json.RawMessage(`{"v":1}`), Timeout: attune.Duration(time.Minute), ExitCode: &code, Stdout: "out", Stderr: "err",
		Truncated: true, RequestedAt: noon, CancelRequestedAt: &noon,
	}

	t.Run("one execution is read", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.executions.get = func(attune.ExecutionID) (attune.Execution, error) { return execution, nil }
		recorder := b.do(t, get("/api/v1/executions/21"))
		require.Equal(t, http.StatusOK, recorder.Code)
		requireJSON(t, `{
			"id": 21, "enforcement_id": 11, "action": "shop.deploy", "action_id": 4, "queue": "shop.deploy", "sequence": 42, "attempt": 1,
			"status": "failed", "reason": "exit_code", "error": "exit code 3", "pool": "default", "worker": "w1",
			"parameters": {"v": 1}, "timeout": "1m0s", "exit_code": 3, "stdout": "out", "stderr": "err", "truncated": true,
			"requested_at": "2030-01-02T12:00:00Z", "cancel_requested_at": "2030-01-02T12:00:00Z"
		}`, recorder)
		requireProblem(t, setup(t).do(t, get("/api/v1/executions/21")), 404, "not_found")

		b.executions.changes = func(attune.ExecutionID) ([]attune.ExecutionChange, error) {
			return []attune.ExecutionChange{{
				At: noon, Author: attune.Author{Principal: samAuthor.Principal, Note: "it hangs"}, Kind: attune.ExecutionCancelRequested, Attempt: 1, From: "running", To: "cancelling",
			}}, nil
		}
		require.Contains(t, b.do(t, get("/api/v1/executions/21")).Body.String(), `"changes":[{"at":"2030-01-02T12:00:00Z","principal":{"name":"admin","method":"token"},`+
			`"note":"it hangs","kind":"cancel","attempt":1,"from":"running","to":"cancelling"}]`)
	})

	t.Run("executions are listed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.executions.list = func(filter attune.ExecutionFilter, _ attune.Page) ([]attune.Execution, error) {
			require.Equal(t, attune.ExecutionFilter{
				Enforcement: 11, Action: "shop.deploy", Queue: "shop.deploy", Status: attune.ExecutionFailed, Worker: "w1",
			}, filter)
			return []attune.Execution{execution}, nil
		}
		recorder := b.do(t, get("/api/v1/executions?enforcement=11&action=shop.deploy&queue=shop.deploy&status=failed&worker=w1"))
		require.Equal(t, http.StatusOK, recorder.Code, recorder.Body.String())
		requireJSON(t, `{"items": [{
			"id": 21, "enforcement_id": 11, "action": "shop.deploy", "action_id": 4, "queue": "shop.deploy", "sequence": 42, "attempt": 1,
			"status": "failed", "reason": "exit_code", "error": "exit code 3", "pool": "default", "worker": "w1", "exit_code": 3,
			"requested_at": "2030-01-02T12:00:00Z", "cancel_requested_at": "2030-01-02T12:00:00Z"
		}]}`, recorder)
	})

	t.Run("an execution is cancelled", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.executions.cancel = func(id attune.ExecutionID, author attune.Author) (attune.Execution, error) {
			require.Equal(t, attune.ExecutionID(21), id)
			require.Equal(t, samAuthor, author)
			return attune.Execution{ID: 21, Status: attune.ExecutionRunning, RequestedAt: noon}, nil
		}
		recorder := b.do(t, post("/api/v1/executions/21/cancel", sam))
		require.Equal(t, http.StatusAccepted, recorder.Code, recorder.Body.String())
		require.Contains(t, recorder.Body.String(), `"id":21`)

		b.executions.cancel = func(attune.ExecutionID, attune.Author) (attune.Execution, error) {
			return attune.Execution{}, attune.Errorf(attune.CodeConflict, "execution 21 has ended: succeeded")
		}
		requireProblem(t, b.do(t, post("/api/v1/executions/21/cancel", sam)), 409, "conflict")
		b.executions.cancel = nil
		requireProblem(t, b.do(t, post("/api/v1/executions/22/cancel", sam)), 404, "not_found")
		requireProblem(t, b.do(t, post("/api/v1/executions/22/cancel", `{"by": "sam"}`)), 422, "invalid")
	})
}

func TestQueues(t *testing.T) {
	t.Parallel()

	stats := attune.QueueStats{
		ID: 6, Queue: "shop.deploy", ActionID: 4, Action: "shop.deploy", QueueLength: 2, ActiveCount: 1, MaxConcurrent: 1, Mode: attune.QueueOpen,
		OldestEnqueuedAt: &noon, TotalEnqueued: 10, TotalCompleted: 6, TotalDropped: 1, LastUpdated: &noon,
	}
	const statsJSON = `{
		"id": 6, "queue": "shop.deploy", "action_id": 4, "action_ref": "shop.deploy", "queue_length": 2, "active_count": 1, "max_concurrent": 1, "mode": "open",
		"oldest_enqueued_at": "2030-01-02T12:00:00Z", "total_enqueued": 10, "total_completed": 6, "total_dropped": 1,
		"last_updated": "2030-01-02T12:00:00Z"
	}`

	t.Run("queues are listed", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		b.queues.list = func(page attune.Page) ([]attune.QueueStats, error) {
			require.Equal(t, attune.Page{Before: 9, Limit: 1}, page)
			return []attune.QueueStats{stats}, nil
		}
		requireJSON(t, `{"items": [`+statsJSON+`], "next": "YmVmb3JlOjY"}`, b.do(t, get("/api/v1/queues?limit=1&cursor=YmVmb3JlOjk")))
	})

	t.Run("the queue of an action is counted", func(t *testing.T) {
		t.Parallel()
		b := setup(t)
		requireProblem(t, b.do(t, get("/api/v1/actions/shop.nope/queue-stats")), 404, "not_found")
		requireProblem(t, b.do(t, get("/api/v1/actions/nope/queue-stats")), 404, "not_found")

		b.queues.stats = func(key attune.QueueKey) (attune.QueueStats, error) {
			return attune.QueueStats{Queue: key, ActionID: 4, Action: "shop.deploy", MaxConcurrent: 1, Mode: attune.QueueOpen}, nil
		}
		recorder := b.do(t, get("/api/v1/actions/shop.deploy/queue-stats"))
		require.Equal(t, http.StatusOK, recorder.Code)
		requireJSON(t, `{
			"queue": "shop.deploy", "action_id": 4, "action_ref": "shop.deploy", "queue_length": 0, "active_count": 0,
			"max_concurrent": 1, "mode": "open", "oldest_enqueued_at": null, "total_enqueued": 0, "total_completed": 0, "total_dropped": 0,
			"last_updated": null
		}`, recorder)
	})
}

func TestRules(t *testing.T) {
	t.Parallel()

	const on = `{"id": 5, "ref": "github.deploy", "enabled": true, "trigger": "github.push", "action": "shop.deploy"}`
	const off = `{"id": 5, "ref": "github.deploy", "enabled": false, "trigger": "github.push", "action": "shop.deploy"}`
	b := setup(t)
	requireJSON(t, off, b.do(t, get("/api/v1/rules/github.deploy")))

	recorder := b.do(t, post("/api/v1/rules/github.deploy/enable", ""))
	require.Equal(t, http.StatusOK, recorder.Code)
	requireJSON(t, on, recorder)
	requireJSON(t, on, b.do(t, get("/api/v1/rules/github.deploy")))
	requireJSON(t, off, b.do(t, post("/api/v1/rules/github.deploy/disable", "")))
	require.Contains(t, b.log.String(), "a rule was switched")
	requireJSON(t, on, b.do(t, post("/api/v1/rules/github.deploy/enable", sam)))
	requireJSON(t, `{"items": [{
		"id": 3, "at": "2030-01-02T12:00:00Z", "principal": {"name": "admin", "method": "token"}, "on_behalf_of": "sam",
		"note": "the disk is empty again", "from": "disabled", "to": "enabled"
	}], "next": "YmVmb3JlOjM"}`, b.do(t, get("/api/v1/rules/github.deploy/changes?limit=1")))
	requireProblem(t, b.do(t, get("/api/v1/rules/github.nope/changes")), 404, "not_found")
	requireProblem(t, b.do(t, get("/api/v1/rules/nope/changes")), 404, "not_found")
	requireProblem(t, b.do(t, post("/api/v1/rules/github.deploy/enable", `{"by": "sam"}`)), 422, "invalid")

	requireProblem(t, b.do(t, get("/api/v1/rules/github.nope")), 404, "not_found")
	requireProblem(t, b.do(t, get("/api/v1/rules/nope")), 404, "not_found")
	requireProblem(t, b.do(t, post("/api/v1/rules/github.nope/enable", "")), 404, "not_found")
	requireProblem(t, b.do(t, post("/api/v1/rules/nope/disable", "")), 404, "not_found")

	b.rules.set = func(attune.Ref, bool) error {
		return attune.Errorf(attune.CodeConflict, "its pack no longer declares it")
	}
	requireProblem(t, b.do(t, post("/api/v1/rules/github.deploy/enable", "")), 409, "conflict")

	b.rules.list = func(attune.Page) ([]attune.Rule, error) {
		return []attune.Rule{{ID: 5, Ref: "github.deploy", Trigger: "github.push", Action: "shop.deploy"}}, nil
	}
	requireJSON(t, `{"items": [`+off+`]}`, b.do(t, get("/api/v1/rules")))
}
