package main

import (
	"fmt"

	"go.temporal.io/server/common/log"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logger writes to standard error without stack traces, because the server logs one for every lost race.
type logger struct {
	log.Logger
	level zap.AtomicLevel
}

func newLogger(level string) (logger, error) {
	parsed, err := zap.ParseAtomicLevel(level)
	if err != nil {
		return logger{}, fmt.Errorf("--log-level %q: use debug, info, warn or error", level)
	}
	encoder := zap.NewProductionEncoderConfig()
	encoder.EncodeTime = zapcore.ISO8601TimeEncoder
	config := zap.Config{
		Level:             parsed,
		Encoding:          "console",
		EncoderConfig:     encoder,
		DisableCaller:     true,
		DisableStacktrace: true,
		OutputPaths:       []string{"stderr"},
		ErrorOutputPaths:  []string{"stderr"},
	}
	built, err := config.Build()
	if err != nil {
		return logger{}, fmt.Errorf("build the logger: %w", err)
	}
	return logger{Logger: log.NewZapLogger(built), level: parsed}, nil
}

// silence drops every line up to level error: Temporal's services log many errors while they stop one after the other.
func (l logger) silence() { l.level.SetLevel(zapcore.DPanicLevel) }
