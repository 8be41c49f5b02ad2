// Command await waits until the services of finished test runs have ended. `make test` ends with it. After 30 seconds it
// lists the remaining processes and exits with status 1.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/attune-go/attune/devenv/testenv"
)

const limit = 30 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "await:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, limit)
	defer cancel()
	left, err := testenv.Await(ctx)
	if err != nil || len(left) == 0 {
		return err
	}
	return fmt.Errorf("test services still run after %s:\n  %s", limit, strings.Join(left, "\n  "))
}
