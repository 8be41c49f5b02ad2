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
	// realGo is the environment variable with the path of the real go command.
	realGo = "MUTANTS_GO"
	// notBuilt is the exit status that gremlins reads as "does not compile". The real go command has one status for failed
	// builds and failed tests.
	notBuilt = 2
	// limited runs a command with at most 20 seconds of processor time and 4 GiB of memory for each process. On a busy
	// machine, a limit of wall time would end tests that are only slow.
	limited = `ulimit -t 20; ulimit -v 4194304; exec "$0" "$@"`
)

// standIn replaces the go command for gremlins. It runs the real command within limits, and corrects two results that
// gremlins would misread: the covered code, see [widen], and a failed build. It returns the exit status.
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

// widenProfile rewrites the coverage profile that the arguments name, if any.
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
