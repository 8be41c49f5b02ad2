package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Database checks that PostgreSQL answers and that its schema has the version that this attune needs.
func Database(read func(context.Context) (attune.DatabaseSchema, error)) Check {
	return Check{Name: "postgresql", Run: func(ctx context.Context) ([]Finding, error) {
		s, err := read(ctx)
		if err != nil {
			return nil, err
		}
		what := fmt.Sprintf("PostgreSQL %s answers; its tables are of version %d", s.Server, s.Version)
		finding := Finding{Severity: OK, What: what + "."}
		switch {
		case s.Version < s.Newest:
			finding.Severity, finding.What = Problem, fmt.Sprintf("%s, but this attune needs %d.", what, s.Newest)
			finding.Do = "Run attune migrate."
		case s.Version > s.Newest:
			finding.Severity, finding.What = Warning, fmt.Sprintf("%s, but this attune knows only %d.", what, s.Newest)
			finding.Do = "A newer attune has migrated the tables: upgrade every process to its version."
		}
		return []Finding{finding}, nil
	}}
}

// maxOutboxWait is how long a message may wait in the outbox. The relay takes a message immediately, and after 5 s at the latest.
const maxOutboxWait = 30 * time.Second

// Outbox checks that the messages in the outbox are published.
func Outbox(read func(context.Context) (attune.OutboxBacklog, error)) Check {
	return Check{Name: "outbox", Run: func(ctx context.Context) ([]Finding, error) {
		b, err := read(ctx)
		if err != nil {
			return nil, err
		}
		if b.Oldest <= maxOutboxWait {
			return []Finding{{Severity: OK,
				What: fmt.Sprintf("The outbox is relayed: %s in it.", counted(b.Rows, "message waits", "messages wait"))}}, nil
		}
		return []Finding{{
			Severity: Problem,
			What: fmt.Sprintf("%s in the outbox, the oldest for %s: no process publishes the outbox.",
				counted(b.Rows, "message waits", "messages wait"), b.Oldest.Round(time.Second)),
			Do: "Check that a process with the role bridge runs and reaches RabbitMQ. Its log says why it does not publish.",
		}}, nil
	}}
}

// Broker checks that RabbitMQ accepts connections. read returns its version.
func Broker(read func(context.Context) (string, error)) Check {
	return Check{Name: "rabbitmq", Run: func(ctx context.Context) ([]Finding, error) {
		version, err := read(ctx)
		return []Finding{{Severity: OK, What: fmt.Sprintf("RabbitMQ %s answers.", version)}}, err
	}}
}

// Queue is a queue of the broker.
type Queue struct {
	Name      string
	Missing   bool
	Ready     int    // number of waiting messages
	Consumers int    // number of consumers
	Reader    string // the consumer that the queue needs, for a person; empty if it needs none
	Pool      string // pool whose workers consume the queue; empty for other queues
}

// Topology checks that the broker's queues exist, and that each has the consumers it needs.
func Topology(read func(context.Context) ([]Queue, error)) Check {
	return Check{Name: "broker queues", Run: func(ctx context.Context) ([]Finding, error) {
		queues, err := read(ctx)
		if err != nil {
			return nil, err
		}
		var wrong []Finding
		for _, q := range queues {
			if finding, ok := q.judge(); !ok {
				wrong = append(wrong, finding)
			}
		}
		okText := fmt.Sprintf("All %d queues exist, and every queue that needs a consumer has one.", len(queues))
		return listed(wrong, okText, func(f Finding) Finding { return f }), nil
	}}
}

// judge reports whether the queue is healthy. If it is not, the finding says why.
func (q Queue) judge() (Finding, bool) {
	finding := Finding{Severity: Problem, Where: "queue " + q.Name + " of the broker"}
	switch {
	case q.Missing && q.Pool != "":
		finding.Severity = Note
		finding.What = fmt.Sprintf("It does not exist yet: no worker of the pool %q has run, and no execution was sent to it.", q.Pool)
		finding.Do = fmt.Sprintf("Start a worker with --worker-pool %s before you run actions of that pool.", q.Pool)
	case q.Missing:
		finding.What = "It does not exist."
		finding.Do = "Restart attune: every process declares the queues when it starts."
	case q.Reader == "" || q.Consumers > 0:
		return finding, true
	case q.Pool != "" && q.Ready == 0: // a worker without a free slot does not consume
		finding.Severity = Note
		finding.What = fmt.Sprintf("No worker of the pool %q has a free slot, or none runs. No execution waits for one.", q.Pool)
		finding.Do = fmt.Sprintf("If none runs, start one with --worker-pool %s.", q.Pool)
	case q.Pool != "":
		finding.Severity = Warning
		finding.What = fmt.Sprintf("%s in it: no worker of the pool %q has a free slot, or none runs.",
			counted(q.Ready, "execution waits", "executions wait"), q.Pool)
		finding.Do = fmt.Sprintf("Check whether executions of the pool run (GET /api/v1/executions?status=running). If some run, start "+
			"more workers or give them more slots. If none runs, start a worker with --worker-pool %s.", q.Pool)
	default:
		finding.What = fmt.Sprintf("It has no consumer; %s in it.", counted(q.Ready, "message waits", "messages wait"))
		finding.Do = "Check that " + q.Reader + " runs. Its log says why it does not consume."
	}
	return finding, false
}

// DeadLetters are the messages that no consumer could handle.
type DeadLetters struct {
	Count  int
	Full   bool   // the broker drops the oldest ones
	Oldest string // id, queue and reason of the oldest message; empty if it could not be read
}

// DeadLetterQueue checks that the dead-letter queue is empty: each message in it is work that has stopped.
func DeadLetterQueue(read func(context.Context) (DeadLetters, error)) Check {
	return Check{Name: "dead letters", Run: func(ctx context.Context) ([]Finding, error) {
		d, err := read(ctx)
		if err != nil || d.Count == 0 {
			return []Finding{{Severity: OK, What: "There are no dead letters."}}, err
		}
		what := fmt.Sprintf("No consumer could handle %s.", counted(d.Count, "message", "messages"))
		if d.Full {
			what += " The queue is full: the broker drops the oldest ones."
		}
		if d.Oldest != "" {
			what += " The oldest: " + strings.TrimSuffix(d.Oldest, ".") + "."
		}
		return []Finding{{
			Severity: Problem, Where: "queue attune.dead of the broker", What: what,
			Do: "Fix the cause that the headers attune-reason and attune-error name. Then move each message back to the queue " +
				"that the header attune-queue names.",
		}}, nil
	}}
}

// Engine is a Temporal server with the namespace that attune uses.
type Engine struct {
	Server    string // version of the server
	Namespace string
	Retention time.Duration // how long the namespace keeps ended workflows
}

// minRetention is how long Temporal must keep ended workflows. Without the workflow of a granted enforcement, a repeated grant
// would start it a second time.
const minRetention = 24 * time.Hour

// Temporal checks that Temporal answers, knows the namespace and keeps ended workflows long enough.
func Temporal(read func(context.Context) (Engine, error)) Check {
	return Check{Name: "temporal", Run: func(ctx context.Context) ([]Finding, error) {
		e, err := read(ctx)
		if err != nil {
			return nil, err
		}
		finding := Finding{
			Severity: OK,
			What: fmt.Sprintf("Temporal %s answers; the namespace %q keeps ended workflows for %s.",
				e.Server, e.Namespace, e.Retention),
		}
		if e.Retention < minRetention {
			finding.Severity = Warning
			finding.Do = fmt.Sprintf("Raise the retention of the namespace to %s or more.", minRetention)
		}
		return []Finding{finding}, nil
	}}
}

// maxPollAge is how long ago the last poll of a worker may be. A poll takes up to a minute, and the next one follows immediately.
const maxPollAge = 2 * time.Minute

// TaskQueue checks that temporal workers poll a task queue, for workflows and for activities. read returns the time of the last
// poll of each worker.
func TaskQueue(name string, read func(context.Context) (workflows, activities []time.Time, err error)) Check {
	return Check{Name: "task queue " + name, Run: func(ctx context.Context) ([]Finding, error) {
		workflows, activities, err := read(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		w, a := recentPolls(workflows, now), recentPolls(activities, now)
		if w > 0 && a > 0 {
			return []Finding{{Severity: OK, What: fmt.Sprintf("%s for workflows, %d for activities.",
				counted(w, "temporal worker polls", "temporal workers poll"), a)}}, nil
		}
		missing := "workflows or activities"
		switch {
		case w > 0:
			missing = "activities"
		case a > 0:
			missing = "workflows"
		}
		return []Finding{{
			Severity: Problem, Where: "task queue " + name,
			What: fmt.Sprintf("No temporal worker has polled for %s in the last %s: queues cannot grant.", missing, maxPollAge),
			Do:   "Check that a process with the role orchestrator runs and uses this namespace.",
		}}, nil
	}}
}

// recentPolls counts the times that are at most [maxPollAge] before now.
func recentPolls(polls []time.Time, now time.Time) int {
	n := 0
	for _, at := range polls {
		if now.Sub(at) <= maxPollAge {
			n++
		}
	}
	return n
}
