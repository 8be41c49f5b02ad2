package telemetry_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/attune-go/attune"
	"github.com/attune-go/attune/internal/telemetry"
)

func TestNewLogger(t *testing.T) {
	t.Parallel()

	t.Run("the JSON format writes one object per line", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, telemetry.LogConfig{Format: telemetry.LogJSON})
		require.NoError(t, err)
		logger.Info("granted", "queue", "core.echo")
		var line map[string]any
		require.NoError(t, json.Unmarshal(out.Bytes(), &line))
		require.Equal(t, "granted", line["msg"])
		require.Equal(t, "core.echo", line["queue"])
	})

	t.Run("the text format writes no escape sequences to a pipe", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, telemetry.LogConfig{})
		require.NoError(t, err)
		logger.Info("granted", "queue", "core.echo")
		require.Contains(t, out.String(), `level=INFO msg=granted queue=core.echo`)
		require.NotContains(t, out.String(), "\x1b")
	})

	t.Run("lines below the level are not written", func(t *testing.T) {
		t.Parallel()
		var out bytes.Buffer
		logger, err := telemetry.NewLogger(&out, telemetry.LogConfig{Level: slog.LevelWarn})
		require.NoError(t, err)
		logger.Info("quiet")
		logger.Warn("loud")
		require.NotContains(t, out.String(), "quiet")
		require.Contains(t, out.String(), "loud")
	})

	t.Run("an unknown format is refused", func(t *testing.T) {
		t.Parallel()
		_, err := telemetry.NewLogger(&bytes.Buffer{}, telemetry.LogConfig{Format: "xml"})
		require.ErrorContains(t, err, `log format "xml": use "text" or "json"`)
		require.Equal(t, attune.CodeInvalid, attune.CodeOf(err))
	})
}
