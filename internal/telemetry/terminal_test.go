package telemetry

import (
	"bytes"
	"errors"
	"log/slog"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTerminalHandler checks that only the handler itself colours a log line: a value cannot control the terminal.
func TestTerminalHandler(t *testing.T) {
	t.Parallel()
	const hostile = "x\x1b[2J\a\r\u009b1m"
	for name, plain := range map[string]bool{"with colours": false, "without colours": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			logger := slog.New(terminalHandler(&out, slog.LevelInfo, plain))
			logger.Info("a message "+hostile, "text", hostile, "error", errors.New(hostile), "list", []string{hostile},
				slog.Group("group", slog.String("text", hostile)))
			line := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(out.String(), "")
			require.NotRegexp(t, `[\x00-\x09\x0b-\x1f\x7f-\x{9f}]`, line)
			require.Regexp(t, `INF a message x.*u001b\[2J.* text=.*u001b\[2J.* error=.*u001b\[2J.* list=.*u001b\[2J.* group.text=.*u001b\[2J`, line)
			require.Equal(t, plain, out.String() == line)
		})
	}
}
