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

// TestOrchestratorKilledAt kills the process that runs the workflows at one exact point each, between two steps that depend
// on each other. Gates bring it to the point and keep it there; what PostgreSQL, RabbitMQ and Temporal say, right before and
// right after the kill, proves that it was there. No worker runs meanwhile, so that what has been published can be counted.
// The process that follows, without gates, must bring everything to its end: once, in order, under the limit.
func TestOrchestratorKilledAt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		limit, tickets int
		point
	}{
		"after acquire, before the first grant":              {1, 8, point{(*killing).reachAcquired, (*killing).standsAcquired}},
		"in the middle of a batch of grants":                 {40, 40, point{(*killing).reachBatch, (*killing).standsBatch}},
		"between the execution's row and its message":        {3, 12, point{(*killing).reachRow, (*killing).standsRow}},
		"between the message and its confirmation":           {3, 12, point{(*killing).reachMessage, (*killing).standsMessage}},
		"after the message, before the workflow's next step": {3, 12, point{(*killing).reachConfirmed, (*killing).standsMessage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := killAt(t, tt.point, func() *killing { return newKilling(t, "orchestrator", stepAction(tt.limit), tt.limit, tt.tickets) })
			k.recover()
		})
	}
}

// point is where a process is killed: between two steps that depend on each other.
type point struct {
	reach  func(*killing) (held <-chan struct{}) // leads there, and holds what would lead on
	stands func(*killing) (string, error)        // says where the services see the process, and what is wrong with that
}

// killAt kills the victim when it is at a point, and requires that it was still there when it died. A process that stands still
// for a while, on a busy machine, may come past the point: what takes more than a second inside of a workflow task is done in
// another way. Then it is tried again with another cluster.
func killAt(t *testing.T, p point, start func() *killing) *killing {
	t.Helper()
	for range 3 {
		k := start()
		held := p.reach(k)
		seen := func() bool {
			said, err := p.stands(k)
			k.last = fmt.Sprintf("%s (%v)", said, err)
			return err == nil
		}
		there := within(time.Minute, func() bool { return seen() && isClosed(held) })
		k.kill()
		if !there {
			t.Logf("not killed where %s", k.last)
			continue
		}
		before := k.last
		stood := within(time.Minute, seen) // a busy broker does not always know at once what it has
		require.True(t, stood, "%s\nbefore the kill: %s\n%s", k.last, before, k.victim.Output())
		t.Logf("killed where %s", k.last)
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

// killing is a cluster of which one process, the victim, has a gate before each service.
type killing struct {
	*cluster
	client                   temporal.Client // around the gates
	broker                   *amqp.Channel   // likewise
	postgres, amqp, temporal *gate
	victim                   *process
	role                     string // of the victim
	ids                      []attune.EnforcementID
	limit                    int
	last                     string // what was seen last of the point that is to be reached
}

// newKilling starts everything but a worker, and has run one ticket: the queue is loaded, what is declared on first use is
// declared. The tickets are accepted when the test brings the victim to its point.
func newKilling(t *testing.T, role, action string, limit, tickets int) *killing {
	t.Helper()
	k := &killing{cluster: newCluster(t, map[string]string{"actions/step.yaml": action}), role: role, limit: limit}
	t.Cleanup(func() { t.Logf("seen last: %s", k.last) })
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

// startBehindGates starts the victim with the addresses of gates for those of the services.
func (k *killing) startBehindGates() {
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

// kill ends the victim and loses what it had said and nobody has heard.
func (k *killing) kill() {
	k.t.Helper()
	k.victim.kill()
	for _, g := range []*gate{k.postgres, k.amqp, k.temporal} {
		g.cut()
	}
}

// send runs the tickets and returns when the queue has them all durably: the intake counts a ticket after the queue has
// accepted its signal.
func (k *killing) send() {
	k.t.Helper()
	for n := range k.ids {
		k.ids[n] = k.run("e2e.step", map[string]any{"n": n + 1, "ms": 5})
	}
	k.eventually("the queue has every ticket", func() bool {
		return k.metric("attune_admitted_total", "") == float64(1+len(k.ids))
	})
}

// reachAcquired stops the orchestrator's answers to Temporal: it gets the queue's task with the tickets, decides, and can
// neither say so nor start anything.
func (k *killing) reachAcquired() <-chan struct{} {
	held := k.temporal.toService.hold("")
	k.send()
	return held
}

func (k *killing) standsAcquired() (string, error) {
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
	said := fmt.Sprintf("%s; after its last decision (event %d of %d) the queue has %d signals and %d tasks begun",
		s, decided+1, len(events), signalled, started)
	if signalled == 0 || started != 1 || s.queued != len(k.ids) || s.begun != 0 {
		return said, fmt.Errorf("want a signal that a task has received and not answered, %d queued, none begun", len(k.ids))
	}
	return said, nil
}

// reachBatch lets a batch of grants through until the start of the twentieth passes by: at most 16 are under way at a time,
// so some have been started by then, and those behind it have not.
func (k *killing) reachBatch() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.temporal.toService.hold(fmt.Sprintf("%s[^0-9]", workflows.EnforcementWorkflowID(k.ids[19])))
	k.control("e2e.step", "resume")
	return held
}

func (k *killing) standsBatch() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.begun == 0 || s.begun >= len(k.ids) || s.executions == 0 || s.executions >= len(k.ids) {
		return s.String(), fmt.Errorf("want some of %d begun, not all, and some executions, fewer than tickets", len(k.ids))
	}
	return s.String(), nil
}

// reachRow lets everything to the broker through but the requests of executions.
func (k *killing) reachRow() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.amqp.toService.hold("execution/[0-9]+/1/requested")
	k.control("e2e.step", "resume")
	return held
}

func (k *killing) standsRow() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.executions != k.limit || s.granted != k.limit || s.published != 0 || s.begun != k.limit || s.ended != 0 {
		return s.String(), fmt.Errorf("want %d executions, none published, their workflows open", k.limit)
	}
	return s.String(), nil
}

// reachMessage lets requests go to the broker and its confirmations not come back.
func (k *killing) reachMessage() <-chan struct{} {
	k.control("e2e.step", "pause")
	k.send()
	held := k.amqp.toProcess.hold("")
	k.control("e2e.step", "resume")
	return held
}

// reachConfirmed lets everything happen but the next step of an enforcement's workflow: the report that its activity, which
// creates and publishes, is done.
func (k *killing) reachConfirmed() <-chan struct{} {
	held := k.temporal.toService.hold(workflows.ActivityRequestExecution)
	k.send()
	return held
}

func (k *killing) standsMessage() (string, error) {
	k.t.Helper()
	s := k.survey()
	if s.published == 0 || s.executions < s.published || s.begun < s.executions || s.ended != 0 {
		return s.String(), fmt.Errorf("want messages, as many executions at least, and their workflows open")
	}
	return s.String(), nil
}

// recover starts what is missing and requires that every promise was kept.
func (k *killing) recover() {
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

// requireOnce reads what the processes themselves wrote.
func (k *killing) requireOnce(total int) {
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
		require.Equal(k.t, want, begun, "each once, in order")
	}
	require.ElementsMatch(k.t, want, begun, "each once")
}

func (k *killing) requireVerified(total int) {
	k.t.Helper()
	code, output := k.attune("queue", "verify", "e2e.step", "--url", k.base)
	require.Zero(k.t, code, output)
	require.Contains(k.t, output, "e2e.step: every promise kept\n")
	require.Regexp(k.t, fmt.Sprintf(`tickets +%d +waiting 0, active 0, executed %d, dropped 0\n`, total, total), output)
	require.Regexp(k.t, fmt.Sprintf(`grants +%d +slots given back %d\n`, total, total), output)
}

// requireNothingLeft looks for what somebody would still have to do: messages, holders, open workflows.
func (k *killing) requireNothingLeft() {
	k.t.Helper()
	k.eventually("nothing is left", func() bool {
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
