package api_test

import (
	"github.com/attune-go/attune/api"
	"github.com/attune-go/attune/auth"
	"github.com/attune-go/attune/doctor"
	"github.com/attune-go/attune/ingest"
	"github.com/attune-go/attune/internal/telemetry"
	"github.com/attune-go/attune/postgres"
	"github.com/attune-go/attune/workflows"
)

// The types that the process passes to the API implement the interfaces of this package.
var (
	_ api.Authenticator      = (*auth.Authenticator)(nil)
	_ auth.Store             = (*postgres.Tokens)(nil)
	_ api.Tokens             = (*postgres.Tokens)(nil)
	_ api.AuditLog           = (*postgres.Audit)(nil)
	_ api.Ingest             = (*ingest.Ingest)(nil)
	_ api.Webhooks           = (*postgres.Packs)(nil)
	_ api.ActionReader       = (*postgres.Packs)(nil)
	_ api.Rules              = (*postgres.Packs)(nil)
	_ api.EventReader        = (*postgres.Events)(nil)
	_ api.EnforcementReader  = (*postgres.Enforcements)(nil)
	_ api.ParkedEnforcements = (*postgres.Enforcements)(nil)
	_ api.Executions         = (*postgres.Executions)(nil)
	_ api.QueueReader        = (*postgres.Queues)(nil)
	_ api.GrantReader        = (*postgres.Queues)(nil)
	_ api.QueuePolicyReader  = (*postgres.Queues)(nil)
	_ api.ChangeReader       = (*postgres.Queues)(nil)
	_ api.QueueController    = (*workflows.QueueClient)(nil)
	_ api.Examiner           = (*doctor.Doctor)(nil)
	_ api.Metrics            = (*telemetry.Metrics)(nil)
)
