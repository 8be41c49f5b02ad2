package doctor

import (
	"context"
	"time"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/workflows"
)

// SchemaReader reads the version of the database server and of its schema.
type SchemaReader interface {
	Schema(ctx context.Context) (attune.DatabaseSchema, error)
}

// BacklogReader reads the number and age of the messages in the outbox.
type BacklogReader interface {
	Backlog(ctx context.Context) (attune.OutboxBacklog, error)
}

// InstallationReader reads which installation of attune the database belongs to.
type InstallationReader interface {
	Installation(ctx context.Context) (attune.Installation, error)
}

// SuspectReader finds queues, enforcements and executions without progress. Each duration is the least time without progress.
type SuspectReader interface {
	Unadmitted(ctx context.Context, olderThan time.Duration) ([]attune.Unadmitted, error)
	Stalls(ctx context.Context, idle time.Duration) ([]attune.Stall, error)
	Leaks(ctx context.Context, olderThan time.Duration) ([]attune.Leak, error)
	Overdue(ctx context.Context, grace, unclaimed time.Duration) ([]attune.Overdue, error)
}

// InterventionReader finds queues with manual overrides, and parked enforcements.
type InterventionReader interface {
	ManualOverrides(ctx context.Context) ([]attune.ManualOverride, error)
	Parked(ctx context.Context) ([]attune.ParkedCount, error)
}

// RuleReader finds the rules that people have disabled.
type RuleReader interface {
	DisabledRules(ctx context.Context) ([]attune.DisabledRule, error)
}

// Sources are the data sources of the checks. All are required.
type Sources struct {
	Schema        SchemaReader
	Installation  InstallationReader
	Outbox        BacklogReader
	Suspects      SuspectReader
	Interventions InterventionReader
	Rules         RuleReader
	RabbitMQ      RabbitMQ
	Temporal      TemporalServer
	Issuer        Issuer // without a URL, none is configured
	Keys          Keyring
	KeyUses       KeyUseReader
}

// Checks returns every check.
func Checks(s Sources) []Check {
	return []Check{
		Database(s.Schema.Schema),
		Broker(s.RabbitMQ.version),
		Temporal(s.Temporal.engine),
		Installation(s.Installation.Installation, s.Temporal.owner),
		TaskQueue(workflows.QueueTaskQueue, s.Temporal.pollers(workflows.QueueTaskQueue)),
		TaskQueue(workflows.EnforcementTaskQueue, s.Temporal.pollers(workflows.EnforcementTaskQueue)),
		Topology(s.RabbitMQ.queues),
		DeadLetterQueue(s.RabbitMQ.deadLetters),
		Outbox(s.Outbox.Backlog),
		QueueProblems(s.Temporal.problems),
		Admission(s.Suspects.Unadmitted),
		Stalls(s.Suspects.Stalls),
		Leaks(s.Suspects.Leaks),
		Holders(s.Suspects.Overdue),
		ManualOverrides(s.Interventions.ManualOverrides),
		Parked(s.Interventions.Parked),
		DisabledRules(s.Rules.DisabledRules),
		OIDC(s.Issuer),
		SecretsKey(s.Keys, s.KeyUses.KeyUses),
	}
}
