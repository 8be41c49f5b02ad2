// Command mutants measures whether the tests of a package would notice a mistake in it. It runs gremlins, which changes one
// operator at a time, and the tests of the package, which must fail. `make mutants` runs it.
//
// The command fails when a mutant survives that tools/mutants.yaml does not name with a reason, when the file names a mutant that
// does not survive or does not exist, and when efficacy or coverage of a package is below 95 %. A mutant that makes the tests run
// out of time counts as killed; one that does not compile does not count.
//
// The tests run with few checks of each property and always the same ones, so that one mutant costs seconds and gets the same
// verdict each time. See [environment].
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
)

// leastPercent is the least efficacy, and the least coverage, that the tests of a package must have.
const leastPercent = 95

func main() {
	if filepath.Base(os.Args[0]) == goName {
		os.Exit(standIn(context.Background(), os.Args[1:]))
	}
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// run takes folders of packages, relative to the root of the module, in which it must be called.
func run(stdout io.Writer, args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	flags := flag.NewFlagSet("mutants", flag.ContinueOnError)
	list := flags.String("named", "tools/mutants.yaml", "the file that names the mutants that may survive")
	workers := flags.Int("workers", 2, "how many mutants are tested at the same time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	named, err := readNamed(*list)
	if err != nil {
		return err
	}
	g, err := install(ctx, *workers)
	if err != nil {
		return err
	}
	defer g.remove()
	table, wrong := []string{tableHead}, []string(nil)
	for _, folder := range flags.Args() {
		folder = filepath.Clean(folder)
		mutants, err := g.unleash(ctx, stdout, folder)
		if err != nil {
			return fmt.Errorf("%s: %w", folder, err)
		}
		f := count(mutants)
		table = append(table, f.row(folder))
		wrong = slices.Concat(wrong, f.shortOf(folder, leastPercent), compare(folder, mutants, named))
	}
	fmt.Fprintf(stdout, "\n%s\n", strings.Join(table, "\n"))
	if len(wrong) > 0 {
		return fmt.Errorf("see %s:\n  %s", *list, strings.Join(wrong, "\n  "))
	}
	return nil
}
