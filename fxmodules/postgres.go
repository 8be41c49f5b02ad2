package fxmodules

import (
	"context"
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/postgres"
)

// Postgres provides the migrated database and its stores. A process opens a connection only if one of its roles needs
// one.
var Postgres = fx.Module("postgres", fx.Provide(
	openPostgres,
	postgres.NewPacks, postgres.NewEvents, postgres.NewEnforcements, postgres.NewExecutions, postgres.NewQueues, postgres.NewOutbox,
	postgres.NewTokens, postgres.NewAudit, postgres.NewSecrets, postgres.NewPolicies, installPacks,
))

func openPostgres(lifecycle fx.Lifecycle, cfg config.Config, log *slog.Logger) (*postgres.DB, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := postgres.Migrate(ctx, cfg.PostgresURL.Reveal()); err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, postgres.Config{URL: cfg.PostgresURL.Reveal(), Logger: log})
	if err != nil {
		return nil, err
	}
	lifecycle.Append(fx.StopHook(db.Close))
	return db, nil
}
