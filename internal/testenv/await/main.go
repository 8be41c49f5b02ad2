// Command await waits until the services of finished test runs are gone. `make test` ends with it, so that nothing is
// left behind unnoticed: after 30 seconds it lists what still is and ends with status 1.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/attune-go/attune/internal/testenv"
)

const limit = 30 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, limit)
	defer cancel()
	left, err := testenv.Await(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "await:", err)
		os.Exit(1)
	}
	if len(left) == 0 {
		return
	}
	fmt.Fprintf(os.Stderr, "await: test services are still there after %s:\n", limit)
	for _, one := range left {
		fmt.Fprintln(os.Stderr, " ", one)
	}
	os.Exit(1)
}
