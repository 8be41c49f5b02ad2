package doctor

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/attune-go/attune"
)

// Database checks that PostgreSQL answers and that its tables are those of this version.
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
			finding.Severity, finding.What = Problem, fmt.Sprintf("%s, and this attune needs %d.", what, s.Newest)
			finding.Do = "Run attune migrate."
		case s.Version > s.Newest:
			finding.Severity, finding.What = Warning, fmt.Sprintf("%s, and this attune knows %d.", what, s.Newest)
			finding.Do = "A newer attune has migrated them: finish the upgrade, no process should be older than the tables."
		}
		return []Finding{finding}, nil
	}}
}

// outboxPatience is how long a message may wait in the outbox: the relay takes it at once, and after 5 s at the latest.
const outboxPatience = 30 * time.Second

// Outbox checks that what must be published is.
func Outbox(read func(context.Context) (attune.OutboxBacklog, error)) Check {
	return Check{Name: "outbox", Run: func(ctx context.Context) ([]Finding, error) {
		b, err := read(ctx)
		if err != nil {
			return nil, err
		}
		if b.Oldest <= outboxPatience {
			return []Finding{{Severity: OK, What: fmt.Sprintf("The outbox is relayed: %d messages wait in it.", b.Rows)}}, nil
		}
		return []Finding{{
			Severity: Problem,
			What: fmt.Sprintf("%d messages wait in the outbox, the oldest for %s: nobody publishes them.",
				b.Rows, b.Oldest.Round(time.Second)),
			Do: "See that a process with the role bridge runs and reaches RabbitMQ; its log says why it does not publish.",
		}}, nil
	}}
}

// Broker checks that RabbitMQ takes connections. read returns its version.
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
	Ready     int    // messages that wait
	Consumers int    // that take messages
	Reader    string // the consumer that the queue needs, in words for a person; empty: it needs none
	Pool      string // the pool whose workers consume the queue; they may be away
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
		well := fmt.Sprintf("All %d queues are there, and those that need consumers have them.", len(queues))
		return listed(wrong, well, func(f Finding) Finding { return f }), nil
	}}
}

// judge reports whether the queue is healthy. When it is not, the finding says why.
func (q Queue) judge() (Finding, bool) {
	finding := Finding{Severity: Problem, Where: "queue " + q.Name + " of the broker"}
	switch {
	case q.Missing && q.Pool != "":
		finding.Severity = Note
		finding.What = fmt.Sprintf("It does not exist yet: no worker of the pool %q has run, and nothing was sent to one.", q.Pool)
		finding.Do = fmt.Sprintf("Start a worker with --worker-pool %s before actions of that pool are to run.", q.Pool)
	case q.Missing:
		finding.What = "It does not exist."
		finding.Do = "Restart attune: every process declares the queues when it starts."
	case q.Reader == "" || q.Consumers > 0:
		return finding, true
	case q.Pool != "" && q.Ready == 0: // a worker that has no slot free asks for nothing
		finding.Severity = Note
		finding.What = fmt.Sprintf("No worker of the pool %q has a slot free, or none runs. Nothing waits for one.", q.Pool)
		finding.Do = fmt.Sprintf("If none runs, start one with --worker-pool %s.", q.Pool)
	case q.Pool != "":
		finding.Severity = Warning
		finding.What = fmt.Sprintf("%d executions wait in it: no worker of the pool %q has a slot free, or none runs.", q.Ready, q.Pool)
		finding.Do = fmt.Sprintf("See whether executions of the pool run (GET /api/v1/executions?status=running). If so, start more "+
			"workers or give them more slots; if not, start a worker with --worker-pool %s.", q.Pool)
	default:
		finding.What = fmt.Sprintf("Nobody takes its messages; %d wait in it.", q.Ready)
		finding.Do = "See that " + q.Reader + " runs; its log says why it does not consume."
	}
	return finding, false
}

// DeadLetters are the messages that no consumer could handle.
type DeadLetters struct {
	Count  int
	Oldest string // which message, from which queue, and why; empty when it could not be looked at
}

// Dead checks that the dead-letter queue is empty: each message in it is work that stopped half-way.
func Dead(read func(context.Context) (DeadLetters, error)) Check {
	return Check{Name: "dead letters", Run: func(ctx context.Context) ([]Finding, error) {
		d, err := read(ctx)
		if err != nil || d.Count == 0 {
			return []Finding{{Severity: OK, What: "There are no dead letters."}}, err
		}
		what := fmt.Sprintf("There are %d messages that nobody could handle.", d.Count)
		if d.Oldest != "" {
			what += " The oldest: " + strings.TrimSuffix(d.Oldest, ".") + "."
		}
		return []Finding{{
			Severity: Problem, Where: "queue attune.dead of the broker", What: what,
			Do: "Mend the cause that their headers attune-reason and attune-error name, then move each back to the queue " +
				"that attune-queue names.",
		}}, nil
	}}
}

// Engine is a Temporal server and the namespace that attune uses of it.
type Engine struct {
	Server    string // its version
	Namespace string
	Retention time.Duration // how long it keeps workflows that have ended
}

// minRetention is how long ended workflows must be kept: a granted enforcement whose workflow was forgotten would be started
// twice.
const minRetention = 24 * time.Hour

// Temporal checks that the engine answers and knows the namespace.
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

// pollPatience is how long ago a worker may have polled: polls take a minute, and the next follows at once.
const pollPatience = 2 * time.Minute

// TaskQueue checks that temporal workers poll a task queue, for workflows and for activities. read returns when each of them
// has polled last.
func TaskQueue(name string, read func(context.Context) (workflows, activities []time.Time, err error)) Check {
	return Check{Name: "task queue " + name, Run: func(ctx context.Context) ([]Finding, error) {
		workflows, activities, err := read(ctx)
		if err != nil {
			return nil, err
		}
		now := time.Now()
		w, a := lately(workflows, now), lately(activities, now)
		if w > 0 && a > 0 {
			return []Finding{{Severity: OK, What: fmt.Sprintf("%d temporal workers poll for workflows, %d for activities.", w, a)}}, nil
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
			What: fmt.Sprintf("No temporal worker has polled for %s in the last %s: nothing is granted.", missing, pollPatience),
			Do:   "See that a process with the role orchestrator runs against this namespace.",
		}}, nil
	}}
}

func lately(polled []time.Time, now time.Time) int {
	n := 0
	for _, at := range polled {
		if now.Sub(at) <= pollPatience {
			n++
		}
	}
	return n
}
