package workflows_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// The worker and its sticky task queue, which the replay ignores.
var (
	identity = regexp.MustCompile(`"identity":\s*"[^"]*"`)
	sticky   = regexp.MustCompile(`"name":\s*"[^"]*:[0-9a-f-]{36}"`)
)

var record = flag.Bool("record", false, "record new histories into testdata/histories")

// historiesDir holds recorded histories. From the first release on, every history must replay.
const historiesDir = "testdata/histories"

// TestReplayHistories replays every recorded history with the current code.
func TestReplayHistories(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(historiesDir, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "record some: make histories")
	var continued atomic.Int64
	t.Cleanup(func() { require.NotZero(t, continued.Load(), "one of the histories must have continued as new") })
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			history := new(historypb.History)
			require.NoError(t, protojson.Unmarshal(data, history))
			require.NoError(t, replay(history))
			if last := history.GetEvents()[len(history.GetEvents())-1]; last.GetEventType() == enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW {
				continued.Add(1)
			}
		})
	}
}

// TestReplayNoticesChanges replays a history without one of its events. The replay must fail.
func TestReplayNoticesChanges(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(historiesDir, "enforcement-granted.json"))
	require.NoError(t, err)
	history := new(historypb.History)
	require.NoError(t, protojson.Unmarshal(data, history))
	events := history.Events[:0]
	for _, event := range history.Events {
		if event.GetEventType() != enumspb.EVENT_TYPE_MARKER_RECORDED {
			events = append(events, event)
		}
	}
	for i, event := range events {
		event.EventId = int64(i + 1)
	}
	history.Events = events
	require.Error(t, replay(history))
}

// replay replays a history under the id of its workflow, which the history of a queue does not contain.
func replay(history *historypb.History) error {
	replayer := worker.NewWorkflowReplayer()
	workflows.Register(replayer)
	var options worker.ReplayWorkflowHistoryOptions
	var input workflows.QueueInput
	started := history.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
	if err := converter.GetDefaultDataConverter().FromPayloads(started.GetInput(), &input); err != nil {
		return err
	}
	options.OriginalExecution.ID = workflows.QueueWorkflowID(input.Queue)
	return replayer.ReplayWorkflowHistoryWithOptions(nil, history, options)
}

// TestRecordHistories writes testdata/histories again. It runs only on request: see make histories.
func TestRecordHistories(t *testing.T) {
	if !*record {
		return
	}
	require.NoError(t, os.MkdirAll(historiesDir, 0o755))
	save := func(t *testing.T, s *stage, name, workflowID, runID string) {
		t.Helper()
		history := s.history(t, workflowID, runID)
		data, err := protojson.MarshalOptions{Indent: " "}.Marshal(history)
		require.NoError(t, err)
		data = identity.ReplaceAll(data, []byte(`"identity": "recorded"`))
		data = sticky.ReplaceAll(data, []byte(`"name": "recorded:sticky"`))
		require.NoError(t, os.WriteFile(filepath.Join(historiesDir, name+".json"), append(data, '\n'), 0o644))
	}
	queueID := workflows.QueueWorkflowID(queueKey)

	t.Run("a busy queue continues as new", func(t *testing.T) {
		s := setup(t, 2)
		for range 4 {
			s.acquire(t, 12)
			s.eventually(t, "progress", func() bool { return s.view(t).Counters.Granted > 0 })
		}
		first := s.runID(t, queueID)
		s.eventually(t, "a new run", func() bool {
			require.NoError(t, s.queues.ForceContinueAsNew(t.Context(), queueKey))
			return s.runID(t, queueID) != first
		})
		s.acquire(t, 12)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 60 })
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		save(t, s, "queue-continued", queueID, first)
		save(t, s, "queue-successor", queueID, "")
		save(t, s, "enforcement-granted", workflows.EnforcementWorkflowID(100), "")
	})

	t.Run("a queue has a gap, a timeout, an overflow and a cancel", func(t *testing.T) {
		s := setup(t, 1)
		s.policy.MaxQueued = 3
		s.policy.QueueTimeout = attune.Duration(2 * time.Second)
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 1)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		s.accept(1)
		s.acquire(t, 3)
		s.eventually(t, "one refused", func() bool { return s.count(attune.EnforcementRejected) == 1 })
		repeated := s.view(t).Counters.Repeated
		run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: workflows.EnforcementWorkflowID(102), TaskQueue: workflows.EnforcementTaskQueue,
		}, workflows.EnforcementWorkflowName, workflows.EnforcementInput{Enforcement: 102})
		require.NoError(t, err)
		s.eventually(t, "it waits", func() bool { return s.view(t).Counters.Repeated == repeated+1 })
		require.NoError(t, s.client.CancelWorkflow(t.Context(), run.GetID(), ""))
		require.Error(t, run.Get(t.Context(), nil))
		save(t, s, "enforcement-cancelled", run.GetID(), "")
		s.eventually(t, "the rest expired", func() bool { return s.count(attune.EnforcementExpired) == 2 })
		close(release)
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		save(t, s, "queue-settlements", queueID, "")
	})

	t.Run("a queue is terminated, and a person starts an enforcement", func(t *testing.T) {
		s := setup(t, 1)
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 3)
		s.eventually(t, "the first runs", func() bool { return s.count(attune.EnforcementGranted) == 1 })
		repeated := s.view(t).Counters.Repeated
		run, err := s.client.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: workflows.EnforcementWorkflowID(101), TaskQueue: workflows.EnforcementTaskQueue,
		}, workflows.EnforcementWorkflowName, workflows.EnforcementInput{Enforcement: 101})
		require.NoError(t, err)
		s.eventually(t, "it waits", func() bool { return s.view(t).Counters.Repeated == repeated+1 })
		terminated := s.runID(t, queueID)
		require.NoError(t, s.client.TerminateWorkflow(t.Context(), queueID, "", "recording"))
		s.acquire(t, 1)
		close(release)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 4 })
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		require.NoError(t, run.Get(t.Context(), nil))
		save(t, s, "queue-terminated", queueID, terminated)
		save(t, s, "queue-rebuilt", queueID, "")
		save(t, s, "enforcement-waited", run.GetID(), "")
	})

	t.Run("people change a queue, and a release is lost", func(t *testing.T) {
		w := newWorld(1)
		w.inspectAfter = 300 * time.Millisecond
		s := setupWorld(t, w)
		report := s.report
		s.report = func(ticket attune.Ticket) {
			if ticket.Sequence != 1 {
				report(ticket)
			}
		}
		_, err := s.queues.SetMode(t.Context(), queueKey, attune.QueuePaused, authorNamed("ada", "recording"))
		require.NoError(t, err)
		tickets := s.acquire(t, 4).Tickets
		_, err = s.queues.CancelByPerson(t.Context(), queueKey, tickets[3], authorNamed("ada", ""))
		require.NoError(t, err)
		_, err = s.queues.SetLimit(t.Context(), queueKey, &attune.LimitOverride{Limit: 1, Until: time.Now().Add(3 * time.Second)}, authorNamed("ada", ""))
		require.NoError(t, err)
		_, err = s.queues.SetMode(t.Context(), queueKey, attune.QueueOpen, authorNamed("ada", ""))
		require.NoError(t, err)
		s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
		s.eventually(t, "all slots free", func() bool { return s.view(t).Active == 0 })
		s.eventually(t, "the override has run out", func() bool { return s.view(t).Override == nil })
		save(t, s, "queue-changed", queueID, "")
	})

	t.Run("an enforcement has ended before its grant", func(t *testing.T) {
		s := setup(t, 1)
		s.acquire(t, 1)
		s.eventually(t, "the first ran", func() bool { return s.count(attune.EnforcementExecuted) == 1 })
		admission := s.accept(2)
		s.rows[101].status = attune.EnforcementCancelled
		require.NoError(t, s.queues.Acquire(t.Context(), admission))
		s.eventually(t, "the third ran", func() bool { return s.count(attune.EnforcementExecuted) == 2 })
		save(t, s, "enforcement-ended", workflows.EnforcementWorkflowID(101), "")
	})

	t.Run("sleeping enforcements are woken", func(t *testing.T) {
		s, tickets, release := asleep(t, 3)
		cancelled := workflows.EnforcementWorkflowID(tickets[1].Enforcement)
		require.NoError(t, s.client.CancelWorkflow(t.Context(), cancelled, ""))
		s.becomes(t, tickets[1], enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED)
		_, err := s.queues.CancelByPerson(t.Context(), queueKey, tickets[3], authorNamed("ada", ""))
		require.NoError(t, err)
		s.becomes(t, tickets[3], enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
		close(release)
		s.becomes(t, tickets[2], enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED)
		s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
		save(t, s, "queue-sleepers", queueID, "")
		save(t, s, "enforcement-asleep-cancelled", cancelled, "")
		save(t, s, "enforcement-asleep-granted", workflows.EnforcementWorkflowID(tickets[2].Enforcement), "")
		save(t, s, "enforcement-asleep-settled", workflows.EnforcementWorkflowID(tickets[3].Enforcement), "")
	})

	for _, placement := range []attune.RetryPlacement{attune.RetryHold, attune.RetryBack} {
		t.Run("a queue retries: "+string(placement), func(t *testing.T) {
			s := setup(t, 1)
			s.placement = placement
			s.fails = func(id attune.EnforcementID, attempt int) bool { return id == 100 && attempt <= 2 }
			s.acquire(t, 3)
			s.eventually(t, "all executed", func() bool { return s.count(attune.EnforcementExecuted) == 3 })
			s.eventually(t, "all released", func() bool { return s.view(t).Active == 0 })
			save(t, s, "queue-retries-"+string(placement), queueID, "")
			save(t, s, "enforcement-retried-"+string(placement), workflows.EnforcementWorkflowID(100), "")
		})
	}

	t.Run("lanes begin to pass each other, and a newcomer replaces others", func(t *testing.T) {
		s := byKey(t, attune.BusyReplace)
		lanes := s.policy
		lanes.Revision = 2
		s.policy = attune.QueuePolicy{Revision: 1, Limit: 1, MaxQueued: 10_000, Overflow: attune.OverflowReject}
		release := make(chan struct{})
		s.run = func(attune.EnforcementID) { <-release }
		s.acquire(t, 4) // sequences 1 and 4 are in one lane
		require.NoError(t, s.queues.SetPolicy(t.Context(), queueKey, lanes))
		s.eventually(t, "three lanes run", func() bool { return s.view(t).Active == 3 })
		s.policy = lanes
		s.acquire(t, 3)
		s.eventually(t, "the holders are asked to end", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return len(s.replaced) == 3 })
		close(release)
		s.eventually(t, "all released", func() bool { v := s.view(t); return v.Active+v.Waiting == 0 })
		save(t, s, "queue-lanes", queueID, "")
	})

	t.Run("grants of an earlier generation are fenced off", func(t *testing.T) {
		s := rebuiltUnderway(t)
		save(t, s, "queue-regrants", queueID, "")
		save(t, s, "enforcement-fenced", workflows.EnforcementWorkflowID(100), "")
	})

	t.Run("a signal arrives while a run ends", func(t *testing.T) {
		s, run := unhandledCommand(t)
		save(t, s, "queue-unhandled-command", queueID, run)
	})
}
