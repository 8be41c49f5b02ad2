package testenv

import (
	"context"
	"os"
	"testing"

	"github.com/attune-go/attune/devenv/services"
)

// Own starts services for this test alone, so that it may stop, kill and restart them. Their data survives a restart of
// the service, but not of the machine. When the test ends, the services are stopped and their data is deleted.
//
//	set := testenv.Own(t, services.Config{RabbitMQ: &services.RabbitMQConfig{}})
//	require.NoError(t, set.RabbitMQ.Kill())
func Own(t testing.TB, config services.Config) *services.Set {
	t.Helper()
	config.Dir = ownDir(t)
	if config.Postgres != nil {
		ephemeral := *config.Postgres
		ephemeral.Ephemeral = true
		config.Postgres = &ephemeral
	}
	if config.RabbitMQ != nil {
		ephemeral := *config.RabbitMQ
		ephemeral.Ephemeral = true
		config.RabbitMQ = &ephemeral
	}
	if config.Temporal != nil {
		ephemeral := *config.Temporal
		ephemeral.Ephemeral = true
		config.Temporal = &ephemeral
	}
	set, err := services.Start(t.Context(), config)
	if err != nil {
		t.Fatalf("start the test's own services: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := set.Stop(ctx); err != nil {
			t.Errorf("stop the test's own services: %v", err)
		}
	})
	return set
}

// ownDir returns a folder inside the folder of the run, so that the daemon deletes the data of a killed test.
func ownDir(t testing.TB) string {
	t.Helper()
	requestService(t, "folder")
	dir, err := os.MkdirTemp(currentRun().base, "own-")
	if err == nil {
		err = services.PrivateDir(dir)
	}
	if err != nil {
		t.Fatalf("folder for the test's own services: %v", err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("delete the data of the test's own services: %v", err)
		}
	})
	return dir
}
