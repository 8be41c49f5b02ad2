package telemetry

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/lmittmann/tint"
	"golang.org/x/term"

	"github.com/attune-go/attune"
)

// LogFormat is the format of log lines.
type LogFormat string

// The log formats.
const (
	LogText LogFormat = "text" // key=value lines; on a terminal with colours and short times
	LogJSON LogFormat = "json" // one JSON object per line
)

// LogConfig configures a logger.
type LogConfig struct {
	Level  slog.Leveler // lowest level that is written; nil means info
	Format LogFormat    // empty means [LogText]
}

// NewLogger returns a logger that writes to w. An unknown format is an [attune.CodeInvalid] error.
func NewLogger(w io.Writer, config LogConfig) (*slog.Logger, error) {
	level := config.Level
	if level == nil {
		level = slog.LevelInfo
	}
	switch config.Format {
	case LogJSON:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	case LogText, "":
		if isTerminal(w) {
			return slog.New(terminalHandler(w, level, os.Getenv("NO_COLOR") != "")), nil
		}
		return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})), nil
	default:
		return nil, fmt.Errorf("create logger: %w",
			attune.Errorf(attune.CodeInvalid, "log format %q: use %q or %q", config.Format, LogText, LogJSON))
	}
}

func terminalHandler(w io.Writer, level slog.Leveler, plain bool) slog.Handler {
	return tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: time.TimeOnly, NoColor: plain, ReplaceAttr: escapeAttr})
}

// escapeAttr makes a value safe for a terminal. The handler quotes values, but writes the escape sequences in them as they are.
func escapeAttr(_ []string, a slog.Attr) slog.Attr {
	text := a.Value.String()
	if escaped := attune.EscapeText(text); escaped != text {
		a.Value = slog.StringValue(escaped)
	}
	return a
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}
