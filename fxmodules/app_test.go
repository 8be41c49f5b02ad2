package fxmodules_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/fx"

	"github.com/attune-go/attune/devenv/testenv"
	"github.com/attune-go/attune/fxmodules"
	"github.com/attune-go/attune/internal/config"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestOptions checks that every role, and all roles together, have their dependencies.
func TestOptions(t *testing.T) {
	t.Parallel()
	sets := map[string][]config.Role{"all": config.Roles()}
	for _, role := range config.Roles() {
		sets[string(role)] = []config.Role{role}
	}
	for name, roles := range sets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := fxmodules.Options(t.Context(), config.Config{Roles: roles}, "test", slog.New(slog.DiscardHandler))
			require.NoError(t, fx.ValidateApp(options))
		})
	}
}
