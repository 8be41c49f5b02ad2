package e2e_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	temporal "go.temporal.io/sdk/client"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/rabbitmq"
	"github.com/attune-go/attune/workflows"
)

// TestOrchestratorKilledAt kills the orchestrator at one exact point, between two dependent steps. Gates bring the
// process to the point and hold it there. The state of PostgreSQL, RabbitMQ and Temporal right before and after the kill
// proves the point. No worker runs meanwhile, so the published messages can be counted. The next process, without gates,
// must finish all tickets: once, in order, under the limit.
func TestOrchestratorKilledAt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limit, tickets int
		point
	}{
		"a kill between acquire and the first grant loses no ticket":              {1, 8, point{(*killTest).reachAcquired, (*killTest).observeAcquired}},
		"a kill during a batch of grants loses no ticket":                         {40, 40, point{(*killTest).reachBatch, (*killTest).observeBatch}},
		"a kill between the execution's row and its message loses no ticket":      {3, 12, point{(*killTest).reachRow, (*killTest).observeRow}},
		"a kill between the message and its confirmation loses no ticket":         {3, 12, point{(*killTest).reachMessage, (*killTest).observeMessage}},
		"a kill between the message and the workflow's next step loses no ticket": {3, 12, point{(*killTest).reachConfirmed, (*killTest).observeMessage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := killAt(t, tt.point, func() *killTest { return newKillTest(t, "orchestrator", stepAction(tt.limit), tt.limit, tt.tickets) })
			k.recover()
		})
	}
}

// point is where a process is killed: between two dependent steps.
type point struct {
	reach   func(*killTest) (held <-chan struct{}) // runs up to the point, and holds the process there
	observe func(*killTest) (string, error)        // describes the state in the services, with an error for a wrong one
}

// killAt kills the victim at a point, and requires that the victim was still there when it died. On a busy machine a
// process that is held for a while may pass the point, because a workflow task handles operations of more than a second
// in another way. Then killAt tries again with another cluster.
func killAt(t *testing.T, p point, start func() *killTest) *killTest {
	t.Helper()
	for range 3 {
		k := start()
		held := p.reach(k)
		seen := func() bool {
			state, err := p.observe(k)
			k.last = fmt.Sprintf("%s (%v)", state, err)
			return err == nil
		}
		there := within(time.Minute, func() bool { return seen() && isClosed(held) })
		k.kill()
		if !there {
			t.Logf("not at the point: %s", k.last)
			continue
		}
		before := k.last
		unchanged := within(time.Minute, seen) // a busy broker may report old counts at first
		require.True(t, unchanged, "%s\nbefore the kill: %s\n%s", k.last, before, k.victim.Output())
		t.Logf("killed at: %s", k.last)
		return k
	}
	require.FailNow(t, "the point was never reached")
	return nil
}

func isClosed(held <-chan struct{}) bool {
	select {
	case <-held:
		return true
	default:
		return false
	}
}

// killTest is a cluster with one process, the victim, behind a gate to each service.
type killTest struct {
	*cluster
	client                   temporal.Client // bypasses the gates
	broker                   *amqp.Channel   // bypasses the gates
	postgres, amqp, temporal *gate
	victim                   *process
	role                     string // of the victim
	ids                      []attune.EnforcementID
	limit                    int
	last                     string // the last observed state
}

// newKillTest starts every process except a worker, and runs one ticket, so that the queue is loaded and the pool's queue
// is declared. The test then requests the other tickets on the way to its point.
func newKillTest(t *testing.T, role, action string, limit, tickets int) *killTest {
	t.Helper()
	k := &killTest{cluster: newCluster(t, map[string]string{"actions/step.yaml": action}), role: role, limit: limit}
	t.Cleanup(func() { t.Logf("last state: %s", k.last) })
	k.client = k.dialTemporal()
	k.broker = k.dialBroker()
	k.ids = make([]attune.EnforcementID, tickets)
	others := map[string]string{"orchestrator": "api,bridge", "bridge": "api,orchestrator"}
	k.start("--roles=" + others[role])
	k.startBehindGates()
	worker := k.start("--roles=worker")
	k.run("e2e.step", map[string]any{"n": 0})
	k.finish("e2e.step", 1, limit)
	k.eventually("its workflow has completed", func() bool { return k.ended(k.rows("e2e.step")[0].Enforcement.ID) })
	worker.stop()
	return k
}

// startBehindGates starts the victim with the addresses of the gates instead of the services.
func (k *killTest) startBehindGates() {
	k.t.Helper()
	behind := *k.cluster
	env := slices.Clone(k.env)
	for name, g := range map[string]**gate{"ATTUNE_POSTGRES_URL": &k.postgres, "ATTUNE_AMQP_URL": &k.amqp} {
		service, err := url.Parse(k.variable(name))
		require.NoError(k.t, err)
		*g = newGate(k.t, service.Host)
		env = append(env, name+"="+(*g).through(k.t, service.String()))
	}
	k.temporal = newGate(k.t, k.variable("TEMPORAL_ADDRESS"))
	env = append(env, "TEMPORAL_ADDRESS="+k.temporal.address())
	behind.env = env
	k.victim = behind.start("--roles=" + k.role)
}

// kill ends the victim. Bytes that the gates hold back are lost.
func (k *killTest) kill() {
	k.t.Helper()
	k.victim.kill()
	for _, g := range []*gate{k.postgres, k.amqp, k.temporal} {
		g.cut()
	}
}

// send requests the tickets and returns when the queue has all of them durably: the intake counts a ticket after its
// acquire signal.
func (k *killTest) send() {
	k.t.Helper()
	for n := range k.ids {
		k.ids[n] = k.run("e2e.step", map[string]any{"n": n + 1, "ms": 5})
	}
	k.eventually("the queue has every ticket", func() bool {
		return k.metric("attune_admitted_total", "") == float64(1+len(k.ids))
	})
}

// reachAcquired holds back the orchestrator's requests to Temporal: it gets the queue's task with the tickets and
// decides, but can neither complete the task nor start a workflow.
func (k *killTest) reachAcquired() <-chan struct{} {
	held := k.temporal.toService.hold("")
	k.send()
	return held
}

func (k *killTest) observeAcquired() (string, error) {
	k.t.Helper()
	events := k.history(workflows.QueueWorkflowID("e2e.step"))
	decided, signalled, started := 0, 0, 0
	for i, event := range events {
		switch event.GetEventType() {
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
			decided, signalled, started = i, 0, 0
		case enumspb.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
			signalled++
		case enumspb.EVENT_TYPE_WORKFLOW_TASK_STARTED:
			started++
		}
	}
	s := k.survey()
	state := fmt.Sprintf("%s; after its last decision (event %d of %d) the queue has %d signals and %d tasks begun",
		s, decided+1, len(events), signalled, started)
	if signalled == 0 || started != 1 || s.queued != len(k.ids) || s.begun != 0 {
		return state, fmt.Errorf("want a signal that a task has received and not answered, %d queued, none begun", len(k.ids))
	}
	return state, nil
}

// resumeHeld resumes the queue while a process is held. The process may be held before it has recorded the change: then the caller gets
// a 503, and the change is in force.
func (k *killTest) resumeHeld() {
	k.t.Helper()
	if err := k.change("e2e.step", "resume"); err != nil {
		require.ErrorContains(k.t, err, "503")
	}
}

// reachBatch lets a batch of grants through up to the start of the twentieth workflow. At most 16 starts run at a time,
// so some workflows exist then, and the later ones do not.
func (k *killTest) reachBatch() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.temporal.toService.hold(fmt.Sprintf("%s[^0-9]", workflows.EnforcementWorkflowID(k.ids[19])))
	k.resumeHeld()
	return held
}

func (k *killTest) observeBatch() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.begun == 0 || s.begun >= len(k.ids) || s.executions == 0 || s.executions >= len(k.ids) {
		return s.String(), fmt.Errorf("want some of %d begun, not all, and some executions, fewer than tickets", len(k.ids))
	}
	return s.String(), nil
}

// reachRow holds back the execution requests from the broker.
func (k *killTest) reachRow() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.amqp.toService.hold("execution/[0-9]+/1/requested")
	k.resumeHeld()
	return held
}

func (k *killTest) observeRow() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.executions != k.limit || s.granted != k.limit || s.published != 0 || s.begun != k.limit || s.ended != 0 {
		return s.String(), fmt.Errorf("want %d executions, none published, their workflows open", k.limit)
	}
	return s.String(), nil
}

// reachMessage lets requests reach the broker and holds back the confirmations.
func (k *killTest) reachMessage() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.amqp.toProcess.hold("")
	k.resumeHeld()
	return held
}

// reachConfirmed holds back the next step of an enforcement's workflow: the completion of the activity that creates and
// publishes the execution.
func (k *killTest) reachConfirmed() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.ActivityRequestExecution)
	k.send()
	return held
}

func (k *killTest) observeMessage() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.published == 0 || s.executions < s.published || s.begun < s.executions || s.ended != 0 {
		return s.String(), fmt.Errorf("want messages, as many executions at least, and their workflows open")
	}
	return s.String(), nil
}

// recover starts the missing processes and requires that the queue kept every promise.
func (k *killTest) recover() {
	k.t.Helper()
	total := len(k.ids) + 1
	k.start("--roles=worker", "--worker-slots=40")
	k.start("--roles=" + k.role)
	m := k.finish("e2e.step", total, k.limit)
	require.Equal(k.t, map[string]int{"succeeded": total}, m.Outcomes)
	k.requireOnce(total)
	k.requireVerified(total)
	k.requireNothingLeft()
}

// requireOnce checks the lines that the actions wrote.
func (k *killTest) requireOnce(total int) {
	k.t.Helper()
	written := k.written()
	require.LessOrEqual(k.t, overlap(k.t, written), k.limit)
	var begun, want []string
	for _, line := range written {
		if strings.HasPrefix(line, "+") {
			begun = append(begun, line)
		}
	}
	for n := range total {
		want = append(want, fmt.Sprintf("+%d", n))
	}
	if k.limit == 1 {
		require.Equal(k.t, want, begun, "each step once, in order")
	}
	require.ElementsMatch(k.t, want, begun, "each once")
}

func (k *killTest) requireVerified(total int) {
	k.t.Helper()
	code, output := k.attune("queue", "verify", "e2e.step", "--url", k.base)
	require.Zero(k.t, code, output)
	require.Contains(k.t, output, "e2e.step: every promise kept\n")
	require.Regexp(k.t, fmt.Sprintf(`tickets +%d +waiting 0, active 0, executed %d, dropped 0\n`, total, total), output)
	require.Regexp(k.t, fmt.Sprintf(`grants +%d +slots given back %d\n`, total, total), output)
}

// requireNothingLeft requires that no message, holder or open workflow remains.
func (k *killTest) requireNothingLeft() {
	k.t.Helper()
	k.eventually("no message, holder or workflow is left", func() bool {
		s := k.survey()
		view, err := workflows.NewQueueClient(k.client).View(k.t.Context(), "e2e.step")
		messages := map[string]int{}
		for _, queue := range []string{
			rabbitmq.QueueEnforcementCreated, rabbitmq.QueueExecutionCompleted, rabbitmq.QueueExecutionClaim, rabbitmq.QueueDead,
			rabbitmq.RetryQueue(rabbitmq.QueueEnforcementCreated), rabbitmq.RetryQueue(rabbitmq.QueueExecutionCompleted),
		} {
			messages[queue] = k.depth(queue)
		}
		k.last = fmt.Sprintf("%s; queue %+v (%v); messages %v", s, view, err, messages)
		left := s.published
		for _, n := range messages {
			left += n
		}
		return err == nil && left == 0 && s.ended == len(k.ids) && view.Active == 0 && view.Waiting == 0
	})
}
