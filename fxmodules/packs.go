package fxmodules

import (
	"context"
	"fmt"
	"log/slog"

	"go.uber.org/fx"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/config"
	"github.com/attune-go/attune/packs"
	"github.com/attune-go/attune/postgres"
)

// Packs provides the packs of the process, read from their folders.
var Packs = fx.Module("packs", fx.Provide(LoadPacks))

// LoadPacks reads the packs of the process. If the process runs actions, LoadPacks checks that the user of the actions can reach them.
func LoadPacks(cfg config.Config) ([]attune.Pack, error) {
	loaded, err := packs.LoadAll(cfg.DataDir, cfg.Packs)
	if err != nil || !cfg.Has(config.RoleWorker) {
		return loaded, err
	}
	if err := workerConfig(cfg, loaded).CheckUser(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return loaded, nil
}

// installed means that the packs are in the database. A constructor that needs their rows depends on it.
type installed struct{}

func installPacks(store *postgres.Packs, all []attune.Pack, log *slog.Logger) (installed, error) {
	results, err := store.Install(context.Background(), all)
	if err != nil {
		return installed{}, err
	}
	for _, result := range results {
		log.Info("pack installed", "pack", result.Name, "version", result.Version, "changed", result.Changed, "disabled", result.Disabled)
	}
	return installed{}, nil
}
