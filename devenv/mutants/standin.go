package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
)

const (
	goName = "go"
	// realGo is the environment variable with the path of the go command.
	realGo = "MUTANTS_GO"
	// notBuilt is the exit status that gremlins takes for "does not compile". The go command has the same status for that and
	// for failed tests.
	notBuilt = 2
	// limited runs a command with at most 20 seconds of processor time and 4 GiB of memory for each process. The clock on the wall
	// would take a busy machine for an endless loop.
	limited = `ulimit -t 20; ulimit -v 4194304; exec "$0" "$@"`
)

// standIn is the go command as gremlins calls it. It runs the real one within limits, and mends two answers that gremlins would
// misread: which code is covered, see [widen], and that a mutant does not compile. It returns the exit status.
func standIn(ctx context.Context, args []string) int {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-c", limited, os.Getenv(realGo)}, args...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &out), io.MultiWriter(os.Stderr, &out)
	err := cmd.Run()
	switch {
	case cmd.ProcessState == nil:
		fmt.Fprintln(os.Stderr, "mutants:", err)
		return notBuilt
	case bytes.Contains(out.Bytes(), []byte("[build failed]")):
		return notBuilt
	case err == nil:
		err = widenProfile(args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
	}
	return cmd.ProcessState.ExitCode()
}

// widenProfile rewrites the coverage profile that the arguments name, if they do.
func widenProfile(args []string) error {
	i := slices.Index(args, "-coverprofile")
	if i < 0 || i+1 >= len(args) {
		return nil
	}
	data, err := os.ReadFile(args[i+1])
	if err != nil {
		return err
	}
	wide, err := widen(string(data))
	if err != nil {
		return err
	}
	return os.WriteFile(args[i+1], []byte(wide), 0o600)
}
