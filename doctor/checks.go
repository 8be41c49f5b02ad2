package doctor

import (
	"context"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// SchemaReader asks the database for its version and that of its tables.
type SchemaReader interface {
	Schema(ctx context.Context) (attune.DatabaseSchema, error)
}

// BacklogReader counts the messages that wait in the outbox.
type BacklogReader interface {
	Backlog(ctx context.Context) (attune.OutboxBacklog, error)
}

// InstallationReader says which installation of attune the database is.
type InstallationReader interface {
	Installation(ctx context.Context) (attune.InstallationID, error)
}

// SuspectReader finds queues and executions that do not go on. The durations say for how long they have not.
type SuspectReader interface {
	Stalls(ctx context.Context, idle time.Duration) ([]attune.Stall, error)
	Leaks(ctx context.Context, olderThan time.Duration) ([]attune.Leak, error)
	Overdue(ctx context.Context, grace, untaken time.Duration) ([]attune.Overdue, error)
}

// InterventionReader finds queues that a person has changed, and enforcements that wait for a person.
type InterventionReader interface {
	ManualOverrides(ctx context.Context) ([]attune.ManualOverride, error)
	Parked(ctx context.Context) ([]attune.ParkedCount, error)
}

// Sources is where the checks look. All are required.
type Sources struct {
	Schema        SchemaReader
	Installation  InstallationReader
	Outbox        BacklogReader
	Suspects      SuspectReader
	Interventions InterventionReader
	RabbitMQ      RabbitMQ
	Temporal      TemporalServer
}

// Checks is every check of an attune that runs.
func Checks(s Sources) []Check {
	return []Check{
		Database(s.Schema.Schema),
		Broker(s.RabbitMQ.version),
		Temporal(s.Temporal.look),
		Installation(s.Installation.Installation, s.Temporal.owner),
		TaskQueue(workflows.QueueTaskQueue, s.Temporal.pollers(workflows.QueueTaskQueue)),
		TaskQueue(workflows.EnforcementTaskQueue, s.Temporal.pollers(workflows.EnforcementTaskQueue)),
		Topology(s.RabbitMQ.queues),
		Dead(s.RabbitMQ.deadLetters),
		Outbox(s.Outbox.Backlog),
		QueueProblems(s.Temporal.problems),
		Stalls(s.Suspects.Stalls),
		Leaks(s.Suspects.Leaks),
		Holders(s.Suspects.Overdue),
		Control(s.Interventions.ManualOverrides),
		ParkedOnes(s.Interventions.Parked),
	}
}
